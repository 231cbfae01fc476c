"""A release has one version everywhere, and the workflow publishes every image of it."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from chassis.release import VERSION
from tests.deploy.helm import CHART, render, values_of
from tests.deploy.manifests import ROOT, of_kind, pod
from tests.deploy.test_images import MEMBERS, SERVICES, dockerfile

WORKFLOW = ROOT / ".github" / "workflows" / "release.yaml"


def jobs() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load(WORKFLOW.read_text())["jobs"]
    return found


def steps(job: str, action: str) -> list[dict[str, Any]]:
    return [step for step in jobs()[job]["steps"] if step.get("uses", "").startswith(f"{action}@")]


@pytest.mark.parametrize("folder", MEMBERS.values())
def test_every_member_has_the_version_of_the_release(folder: str) -> None:
    assert tomllib.loads((ROOT / folder / "pyproject.toml").read_text())["project"]["version"] == VERSION


def test_chart_manifests_and_compose_file_deploy_the_version_of_the_release() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == VERSION
    for overlay in ("prod", "helm/production"):
        tags = {pod(each)["containers"][0]["image"].rpartition(":")[2] for each in of_kind(overlay, "Deployment", "Job")}
        assert tags == {VERSION}
    assert f"HUBBUB_VERSION={VERSION}\n" in (ROOT / "deploy" / "compose" / "setup.sh").read_text()


def test_the_chart_deploys_its_own_version_unless_told_otherwise() -> None:
    values = values_of("helm/production")
    del values["image"]["tag"]
    assert f"/gateway:{VERSION}\n" in render(values)["deployments.yaml"]


def test_the_workflow_publishes_every_image_from_its_dockerfile() -> None:
    assert set(jobs()["images"]["strategy"]["matrix"]["image"]) == set(SERVICES)
    (build,) = steps("images", "docker/build-push-action")
    for service in SERVICES:
        assert ROOT / build["with"]["file"].replace("${{ matrix.image }}", service) == dockerfile(service)
    assert build["with"]["platforms"].split(",") == ["linux/amd64", "linux/arm64"]
    assert build["with"]["sbom"] is True
    assert build["with"]["provenance"] == "mode=max"


def test_what_is_published_is_checked_before_and_signed_after() -> None:
    assert jobs()["images"]["needs"] == "check"
    assert jobs()["chart"]["needs"] == "images"
    assert jobs()["check"]["steps"][-1] == {"run": ".ci/run"}
    for job in ("images", "chart"):
        assert jobs()[job]["permissions"] == {"contents": "read", "id-token": "write"}
        assert "cosign sign --yes" in str(jobs()[job]["steps"])


def test_no_secret_is_in_a_command_line() -> None:
    commands = [step["run"] for job in jobs().values() for step in job["steps"] if "run" in step]
    assert not [command for command in commands if "secrets." in command]
    assert not re.findall(r"pull_request", WORKFLOW.read_text())


def test_every_path_of_the_workflow_exists() -> None:
    for path in re.findall(r"(?:libs|deploy|\.ci)/[\w./-]+", WORKFLOW.read_text()):
        assert (ROOT / Path(path)).exists(), path
