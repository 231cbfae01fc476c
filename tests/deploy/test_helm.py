"""The chart: the same objects as the manifests of deploy/k8s, valid with every example, and clear about wrong values."""

import copy
import json
import re
from pathlib import Path
from typing import Any

import helm_python
import kubernetes_validate
import pytest
import yaml

from chassis.config import load, names
from tests.deploy.helm import CHART, EXAMPLES, render, values_of
from tests.deploy.kustomize import Document
from tests.deploy.manifests import COMPONENTS, JOBS, named, of_kind, pod, rendered, secrets
from tests.deploy.test_monitoring import DASHBOARDS, RULES
from tests.deploy.test_rendering import OLDEST_KUBERNETES
from tests.deploy.test_settings import config_of, variables_of

OTHERS_KINDS = {"ExternalSecret", "HTTPRoute", "PodMonitor", "PrometheusRule"}
"""Kinds of operators, whose schemas are not Kubernetes' own."""
HELMS_LABELS = {"app.kubernetes.io/managed-by", "app.kubernetes.io/version", "helm.sh/chart"}
HELMS_ANNOTATIONS = {"helm.sh/hook", "helm.sh/hook-weight", "helm.sh/hook-delete-policy", "hubbub/settings"}

examples = pytest.mark.parametrize("example", EXAMPLES)
others = pytest.mark.parametrize("example", [each for each in EXAMPLES if each != "helm/production"])
"""The examples that no overlay equals; the tests of the overlays are also those of the production example."""


def changed(**values: Any) -> dict[str, Any]:
    """The values of the production example with some replaced."""
    return {**values_of("helm/production"), **values}


def comparable(document: Document) -> Document:
    """A document without what only one of Helm and kustomize adds."""
    found = copy.deepcopy(document)
    metadata = [found["metadata"]]
    if "template" in found.get("spec", {}):
        metadata.append(found["spec"]["template"]["metadata"])
        template = found["spec"]["template"]["spec"]
        template["containers"][0].pop("imagePullPolicy", None)
        if template.get("volumes") is None:
            template.pop("volumes", None)
    for each in metadata:
        for kind, own in (("labels", HELMS_LABELS), ("annotations", HELMS_ANNOTATIONS)):
            kept = {name: value for name, value in (each.pop(kind, None) or {}).items() if name not in own}
            if kept:
                each[kind] = kept
    if found["kind"] == "ConfigMap":
        found["data"] = {name: json.loads(value) if value[0] in "[{" else value for name, value in found["data"].items()}
    return found


def test_the_chart_makes_the_objects_of_the_production_overlay() -> None:
    def by_name(overlay: str) -> dict[tuple[str, str], Document]:
        return {(each["kind"], each["metadata"]["name"]): comparable(each) for each in rendered(overlay)}

    chart, overlay = by_name("helm/production"), by_name("prod")
    del overlay["Namespace", "hubbub"]  # `helm install --create-namespace` makes it
    assert chart.keys() == overlay.keys()
    for name, document in overlay.items():
        assert chart[name] == document, name


@others
def test_every_document_of_an_example_is_valid(example: str) -> None:
    for document in rendered(example):
        if document["kind"] not in OTHERS_KINDS:
            kubernetes_validate.validate(document, OLDEST_KUBERNETES, strict=True)


@examples
def test_every_name_of_an_example_is_unique(example: str) -> None:
    found = [(each["kind"], each["metadata"]["name"]) for each in rendered(example)]
    assert len(found) == len(set(found))


@others
@pytest.mark.parametrize("process", COMPONENTS)
def test_a_process_can_start_with_its_variables(example: str, process: str, tmp_path: Path) -> None:
    given = dict(variables_of(example, process, tmp_path))
    config_type = config_of(process)
    for name in [name for name in given if "_TLS_" in name]:
        given[name] = str(tmp_path)
    assert given.keys() <= names(config_type)
    load(config_type, given)


def test_helm_lint_finds_nothing() -> None:
    found = helm_python.lint(CHART, values=values_of("helm/production"), strict=True)
    assert not found["errors"]
    assert [each["error"] for each in found["messages"]] == ["icon is recommended"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (changed(replicas=3), "replicas"),
        (changed(image={}), "image.registry is required"),
        (changed(image={"registry": "r.example", "digests": {"gateway": "latest"}}), "digests"),
        (changed(grpc={}), "Set grpc.plaintext to true"),
        (changed(grpc={"plaintext": True, "tlsSecret": "x"}), "grpc"),
        (changed(host="https://chat.example.com"), "host"),
        (changed(host=""), "host is required by ingress.enabled"),
        (changed(settings={"LOG_LEVEL": "info"}), "LOG_LEVEL"),
        (changed(components={"gateways": {}}), "gateways"),
        (changed(components={"gateway": {"replicas": {"min": 0}}}), "min"),
        (changed(components={"gateway": {"resources": {"limits": {"memory": "2 GB"}}}}), "memory"),
        (changed(disruptions={"maxUnavailable": 0}), "maxUnavailable"),
        (changed(secrets={"from": "external"}), "storeName"),
        (changed(httpRoute={"enabled": True}), "parentRefs"),
        (changed(monitoring={"operator": "maybe"}), "operator"),
        (changed(trial={"enabled": True}), "password"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_value_is_refused_with_its_name(values: dict[str, Any], said: str) -> None:
    with pytest.raises(helm_python.HelmError, match=re.escape(said)):
        render(values)


def test_what_a_migration_needs_exists_before_it_runs() -> None:
    secret = {"url": "postgresql://…"}
    given = changed(
        secrets={
            "from": "values",
            "values": {f"{service}-database-owner": secret for service in ("messages", "media", "integrations")},
        }
    )
    documents = [each for text in render(given).values() if "kind:" in text for each in yaml.safe_load_all(text) if each]
    hooks = {
        (each["kind"], each["metadata"]["name"]): int(each["metadata"]["annotations"]["helm.sh/hook-weight"])
        for each in documents
        if "helm.sh/hook" in (each["metadata"].get("annotations") or {})
    }
    jobs = {name for kind, name in hooks if kind == "Job"}
    assert jobs == set(JOBS)
    before = {key for key, weight in hooks.items() if weight < 0}
    for job in (each for each in documents if each["kind"] == "Job"):
        container = pod(job)["containers"][0]
        assert ("ServiceAccount", pod(job)["serviceAccountName"]) in before
        assert {("ConfigMap", each["configMapRef"]["name"]) for each in container["envFrom"]} <= before
        owner = [each["valueFrom"]["secretKeyRef"]["name"] for each in container["env"] if "secretKeyRef" in each["valueFrom"]]
        assert {("Secret", name) for name in owner} <= before
    assert ("NetworkPolicy", "migrations") in before


def test_a_trial_migrates_beside_its_stores_and_not_before_them() -> None:
    for document in rendered("helm/trial"):
        assert "helm.sh/hook" not in (document["metadata"].get("annotations") or {})
    assert {each["metadata"]["name"] for each in of_kind("helm/trial", "Job")} == {f"{job}-1" for job in JOBS}


def test_a_trial_has_the_stores_of_the_development_overlay_with_its_own_password() -> None:
    for store in ("postgres", "valkey", "objects"):
        assert named("helm/trial", "StatefulSet", store)["spec"]["serviceName"] == store
    dumped = yaml.safe_dump([each for each in rendered("helm/trial") if each["kind"] in {"Secret", "ConfigMap"}])
    known = (CHART / "stores" / "users.acl").read_text().count(">development")
    assert dumped.count(">change-me") == known > 0
    assert not re.search(r"[>:'\"]development", dumped)


def test_the_external_secrets_are_those_that_the_processes_use() -> None:
    found = {
        (each["metadata"]["name"], entry["secretKey"])
        for each in of_kind("helm/gateway-api", "ExternalSecret")
        for entry in each["spec"]["data"]
    }
    assert found == {(name, key) for name, key in secrets("prod") if name != "audit-key"}


def test_the_operator_gets_the_tested_alerts_and_dashboards() -> None:
    (rule,) = of_kind("helm/gateway-api", "PrometheusRule")
    runbooks = values_of("helm/gateway-api")["monitoring"]["runbooks"]
    assert rule["spec"] == yaml.safe_load(RULES.read_text().replace("docs/operations.md#", f"{runbooks}#"))
    (dashboards,) = [each for each in of_kind("helm/gateway-api", "ConfigMap") if each["metadata"]["name"] == "hubbub-dashboards"]
    assert {name: json.loads(text) for name, text in dashboards["data"].items()} == {
        file.name: json.loads(file.read_text()) for file in DASHBOARDS
    }


def test_the_http_route_has_the_paths_of_the_ingress() -> None:
    (ingress,) = of_kind("helm/production", "Ingress")
    (route,) = of_kind("helm/gateway-api", "HTTPRoute")
    paths = [(each["path"], each["pathType"]) for each in ingress["spec"]["rules"][0]["http"]["paths"]]
    kinds = {"PathPrefix": "Prefix", "Exact": "Exact"}
    matches = [each["path"] for each in route["spec"]["rules"][0]["matches"]]
    assert [(each["value"], kinds[each["type"]]) for each in matches] == paths


def test_every_process_gets_the_authorities_of_the_stores() -> None:
    for each in of_kind("helm/gateway-api", "Deployment", "Job"):
        mounts = {mount["name"]: mount for mount in pod(each)["containers"][0]["volumeMounts"]}
        assert mounts["stores"] == {"name": "stores", "mountPath": "/etc/hubbub/stores", "readOnly": True}
        assert {"name": "stores", "configMap": {"name": "rds-authorities"}} in pod(each)["volumes"]


def test_digests_take_the_place_of_tags() -> None:
    images = {pod(each)["containers"][0]["image"] for each in of_kind("helm/gateway-api", "Deployment", "Job")}
    assert len(images) == len(values_of("helm/gateway-api")["image"]["digests"])
    assert all("@sha256:" in image for image in images)


def test_the_autoscaler_also_follows_what_saturates_first() -> None:
    def metrics(component: str) -> list[str]:
        found = named("helm/gateway-api", "HorizontalPodAutoscaler", component)["spec"]["metrics"]
        return [each["pods"]["metric"]["name"] for each in found if each["type"] == "Pods"]

    assert metrics("gateway") == ["hubbub_gateway_connections"]
    assert metrics("messages-worker") == ["hubbub_bus_backlog_seconds"]
    assert metrics("messages-search") == ["hubbub_reader_lag_seconds"]
    assert metrics("presence") == []


def test_the_notes_say_what_is_missing() -> None:
    bare = changed(components={}, ingress={})
    notes = render(bare)["NOTES.txt"]
    assert "HUBBUB_TRUSTED_PROXIES" in notes
    assert "No one can sign in" in notes
    assert "No entrance is enabled" in notes
    assert "https://chat.example.com" in render(values_of("helm/production"))["NOTES.txt"]
