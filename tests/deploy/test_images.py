"""The Dockerfiles, without building them: their contents, their user, and that the manifests deploy them."""

import re
import subprocess
import sysconfig
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.dockerfile import stages
from tests.deploy.manifests import COMPONENTS, JOBS, OVERLAYS, ROOT, named, of_kind, pod

SERVICES = ("gateway", "messages", "presence", "media", "integrations")
MEMBERS = {
    "hubbub-protos": "protos/gen/python",
    "hubbub-chassis": "libs/chassis",
    "hubbub-bus": "libs/bus",
    "hubbub-sendmany": "libs/sendmany",
    "hubbub-stack": "libs/stack",
    **{f"hubbub-{service}": f"services/{service}" for service in SERVICES},
}
"""The folder of each of our distributions."""
services = pytest.mark.parametrize("service", SERVICES)


def dockerfile(service: str) -> Path:
    return ROOT / "services" / service / "Dockerfile"


def project(folder: str) -> dict[str, Any]:
    return tomllib.loads((ROOT / folder / "pyproject.toml").read_text())


def closure(distribution: str) -> set[str]:
    """The folders of a distribution and of all of our distributions that it needs."""
    needed = {re.match(r"[\w-]+", line) for line in project(MEMBERS[distribution])["project"]["dependencies"]}
    ours = {match[0] for match in needed if match} & MEMBERS.keys()
    return {MEMBERS[distribution]}.union(*(closure(each) for each in ours))


@services
def test_copied_files_exist(service: str) -> None:
    copied = [copy for stage in stages(dockerfile(service)) for copy in stage.copies if copy.stage is None]
    assert all((ROOT / source).exists() for copy in copied for source in copy.sources)


@services
def test_an_image_contains_only_the_members_that_its_service_needs(service: str) -> None:
    build = next(stage for stage in stages(dockerfile(service)) if stage.name == "build")
    folders = {source for copy in build.copies for source in copy.sources if (ROOT / source).is_dir()}
    assert folders == closure(f"hubbub-{service}")
    (wheels,) = [run for run in build.runs if "pip wheel" in run]
    assert {word.removeprefix("./") for word in wheels.split() if word.startswith("./")} == folders


@services
def test_dependencies_come_from_the_services_lock_with_hashes(service: str) -> None:
    build = next(stage for stage in stages(dockerfile(service)) if stage.name == "build")
    locks = {source for copy in build.copies for source in copy.sources if source.endswith(".lock")}
    assert locks == {"deploy/docker/build.lock", f"services/{service}/requirements.lock"}
    for run in build.runs:
        for command in re.split(r" && ", run):
            if "pip install " in command:
                assert "--require-hashes" in command or ("--no-deps" in command and "--offline" in command)
    for lock in locks:
        assert "--hash=sha256:" in (ROOT / lock).read_text()


@services
def test_the_lock_contains_every_dependency_of_the_members(service: str) -> None:
    locked = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / "services" / service / "requirements.lock").read_text(), re.MULTILINE))
    for folder in closure(f"hubbub-{service}"):
        for requirement in project(folder)["project"]["dependencies"]:
            name = re.split(r"[<>=~!,;\[ ]", requirement)[0].lower().replace("_", "-")
            assert name in locked or name in MEMBERS, f"{name}: run make lock"


def test_every_build_backend_of_a_member_is_locked() -> None:
    lock = (ROOT / "deploy/docker/build.lock").read_text()
    for folder in MEMBERS.values():
        for requirement in project(folder)["build-system"]["requires"]:
            name = re.split(r"[<>=~!,; ]", requirement)[0].replace("_", "-")
            assert re.search(rf"^{name}==", lock, re.MULTILINE)


@services
def test_an_image_runs_without_root_shell_and_writes(service: str) -> None:
    *_, build, final = stages(dockerfile(service))
    assert build.name == "build"
    assert re.fullmatch(r"[1-9][0-9]*:[1-9][0-9]*", final.user or "")
    assert final.entrypoint == ["python", "-m", service]
    assert final.runs == []
    assert all(copy.stage for copy in final.copies)
    assert final.environment["PYTHONDONTWRITEBYTECODE"] == "1"
    assert final.labels.keys() >= {"org.opencontainers.image.title", "org.opencontainers.image.licenses"}


@services
def test_builder_and_final_stage_have_the_same_interpreter(service: str) -> None:
    *_, build, final = stages(dockerfile(service))
    assert build.image == final.image == "python:3.11-slim-bookworm"


def test_only_the_gateways_image_contains_the_web_app() -> None:
    with_web = [service for service in SERVICES if any(stage.name == "web" for stage in stages(dockerfile(service)))]
    assert with_web == ["gateway"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_user_of_the_image_is_the_user_of_the_pod(overlay: str) -> None:
    users = {stages(dockerfile(service))[-1].user for service in SERVICES}
    contexts = [pod(workload)["securityContext"] for workload in of_kind(overlay, "Deployment", "Job")]
    assert users == {f"{context['runAsUser']}:{context['runAsGroup']}" for context in contexts}


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_pod_opens_the_ports_of_its_image(component: str) -> None:
    container = pod(named("prod", "Deployment", component))["containers"][0]
    image = stages(dockerfile(component.partition("-")[0]))[-1]
    assert {each["containerPort"] for each in container["ports"]} <= set(image.ports)


def test_skaffold_builds_what_development_runs() -> None:
    plan = yaml.safe_load((ROOT / "skaffold.yaml").read_text())
    built = {each["image"]: each for each in plan["build"]["artifacts"]}
    run = {pod(each)["containers"][0]["image"] for each in of_kind("dev", "Deployment", "Job")}
    assert built.keys() == run
    for image, artifact in built.items():
        assert artifact["docker"]["dockerfile"] == f"services/{image.removeprefix('hubbub-')}/Dockerfile"
    assert plan["manifests"]["kustomize"]["paths"] == ["deploy/k8s/overlays/dev"]
    forwarded = {(each["resourceName"], each["port"]) for each in plan["portForward"]}
    known = {(each["metadata"]["name"], port["port"]) for each in of_kind("dev", "Service") for port in each["spec"]["ports"]}
    assert forwarded <= known


def test_production_runs_one_release() -> None:
    images = {pod(each)["containers"][0]["image"] for each in of_kind("prod", "Deployment", "Job")}
    assert len(images) == len(SERVICES)
    assert len({image.rpartition(":")[2] for image in images}) == 1
    assert {job["metadata"]["name"] for job in of_kind("prod", "Job")} == set(JOBS)


@services
def test_hadolint_finds_nothing(service: str) -> None:
    command = [f"{sysconfig.get_path('scripts')}/hadolint", "--no-color", str(dockerfile(service))]
    found = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert (found.stdout, found.returncode) == ("", 0)


BY_TAG = {
    "python:3.11-slim-bookworm",
    "node:20-bookworm-slim",
    "postgres:18",
    "valkey/valkey:9",
    "chrislusf/seaweedfs:4.48",
}
"""Images that move with their tag. A release pins the first two with --build-arg; the others serve development only."""


def test_the_images_that_are_not_pinned_by_digest_are_known() -> None:
    files = [*(ROOT / "services").glob("*/Dockerfile"), *(ROOT / "deploy" / "k8s").rglob("*.yaml")]
    found = {
        image
        for file in files
        for image in re.findall(r"^(?:ARG \w+_IMAGE=|\s*(?:- )?image: )(\S+)$", file.read_text(), re.MULTILINE)
        if "@sha256:" not in image and not image.startswith("hubbub-")
    }
    assert found == BY_TAG
