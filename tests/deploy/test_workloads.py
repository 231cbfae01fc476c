"""Rules for every pod: no privileges, existing probes, resource limits, an orderly end, and a disruption budget."""

import re

import pytest

from tests.deploy.kustomize import Document
from tests.deploy.manifests import COMPONENTS, JOBS, OVERLAYS, environment, labels, named, of_kind, pod, rendered, selects

DRAIN_SLACK_SECONDS = 5  # chassis.lifecycle cancels 2 s after the drain; the rest is for the interpreter

overlays = pytest.mark.parametrize("overlay", OVERLAYS)
components = pytest.mark.parametrize("component", COMPONENTS)


@overlays
def test_the_components_are_these(overlay: str) -> None:
    assert {each["metadata"]["name"] for each in of_kind(overlay, "Deployment")} == set(COMPONENTS)
    assert {each["metadata"]["name"] for each in of_kind(overlay, "Job")} == set(JOBS)


@overlays
def test_no_pod_has_privileges(overlay: str) -> None:
    for workload in of_kind(overlay, "Deployment", "Job", "StatefulSet"):
        spec = pod(workload)
        (container,) = spec["containers"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert not spec.keys() & {"hostNetwork", "hostPID", "hostIPC"}


@components
def test_a_pods_storage_is_limited_and_temporary(component: str) -> None:
    spec = pod(named("prod", "Deployment", component))
    mounted = {each["name"] for each in spec["containers"][0].get("volumeMounts", []) if not each.get("readOnly")}
    volumes = {each["name"]: each for each in spec.get("volumes", [])}
    assert volumes.keys() == mounted
    assert all(volume.keys() == {"name", "emptyDir"} and "sizeLimit" in volume["emptyDir"] for volume in volumes.values())
    assert set(mounted) == ({"scratch"} if component == "media" else set())


@overlays
def test_every_pod_has_resource_requests_and_limits(overlay: str) -> None:
    for workload in of_kind(overlay, "Deployment", "Job", "StatefulSet"):
        resources = pod(workload)["containers"][0]["resources"]
        assert resources["requests"].keys() == {"cpu", "memory"}
        assert "memory" in resources["limits"]


@overlays
def test_every_pod_has_its_own_service_account_without_permissions(overlay: str) -> None:
    accounts = {each["metadata"]["name"]: each for each in of_kind(overlay, "ServiceAccount")}
    for component in COMPONENTS:
        assert pod(named(overlay, "Deployment", component))["serviceAccountName"] == component
    for workload in of_kind(overlay, "Deployment", "Job"):
        assert accounts[pod(workload)["serviceAccountName"]]["automountServiceAccountToken"] is False
    assert not of_kind(overlay, "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding")


@overlays
@components
def test_probes_ask_ports_that_the_process_listens_on(overlay: str, component: str) -> None:
    deployment = named(overlay, "Deployment", component)
    (container,) = pod(deployment)["containers"]
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    listening = {
        int(value.rpartition(":")[2])
        for name, value in environment(overlay, deployment).items()
        if value and name.endswith("_LISTEN")
    }
    assert set(ports.values()) == listening
    paths = {"livenessProbe": "/healthz", "readinessProbe": "/readyz"}
    for probe, path in paths.items():
        assert container[probe]["httpGet"]["path"] == path
        assert container[probe]["httpGet"]["port"] in ports
    match container["startupProbe"]:
        case {"grpc": {"port": port}}:
            assert port == ports["grpc"]
        case {"httpGet": {"path": "/healthz", "port": port}}:
            assert port in ports
        case probe:
            pytest.fail(f"unknown probe {probe}")


@overlays
@components
def test_the_grace_period_is_longer_than_the_shutdown(overlay: str, component: str) -> None:
    deployment = named(overlay, "Deployment", component)
    drain = environment(overlay, deployment)["HUBBUB_DRAIN_SECONDS"]
    before = pod(deployment)["containers"][0].get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    assert drain is not None
    assert pod(deployment)["terminationGracePeriodSeconds"] >= before + int(drain) + DRAIN_SLACK_SECONDS


@overlays
@components
def test_pods_are_spread_over_zones_and_nodes(overlay: str, component: str) -> None:
    deployment = named(overlay, "Deployment", component)
    spread = pod(deployment)["topologySpreadConstraints"]
    assert {each["topologyKey"] for each in spread} == {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}
    assert all(selects(each["labelSelector"], labels(deployment)) for each in spread)
    assert all(each["matchLabelKeys"] == ["pod-template-hash"] for each in spread), "releases count apart"


@overlays
@components
def test_every_component_has_a_disruption_budget_and_an_autoscaler(overlay: str, component: str) -> None:
    deployment = named(overlay, "Deployment", component)
    budget = named(overlay, "PodDisruptionBudget", component)["spec"]
    scaler = named(overlay, "HorizontalPodAutoscaler", component)["spec"]
    assert selects(budget["selector"], labels(deployment))
    assert budget["maxUnavailable"] == "10%", "rounded up, so that at least one pod can be evicted"
    assert scaler["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": component}
    assert 1 <= scaler["minReplicas"] <= scaler["maxReplicas"]
    assert "replicas" not in deployment["spec"], "the autoscaler owns it"


@components
def test_production_runs_every_component_at_least_twice(component: str) -> None:
    assert named("prod", "HorizontalPodAutoscaler", component)["spec"]["minReplicas"] >= 2


@overlays
def test_workers_are_never_more_than_partitions(overlay: str) -> None:
    partitions = environment(overlay, named(overlay, "Deployment", "messages-worker"))["HUBBUB_BUS_PARTITIONS"]
    assert partitions is not None
    for name in ("messages-worker", "messages-search"):
        assert named(overlay, "HorizontalPodAutoscaler", name)["spec"]["maxReplicas"] <= int(partitions)


@overlays
@components
def test_prometheus_finds_the_metrics(overlay: str, component: str) -> None:
    template = named(overlay, "Deployment", component)["spec"]["template"]
    ports = {each["name"]: each["containerPort"] for each in template["spec"]["containers"][0]["ports"]}
    assert template["metadata"]["annotations"] == {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(ports["ops"]),
        "prometheus.io/path": "/metrics",
    }


@overlays
def test_every_service_reaches_pods_by_a_port_that_they_have(overlay: str) -> None:
    workloads = of_kind(overlay, "Deployment", "StatefulSet")
    for service in of_kind(overlay, "Service"):
        (backend,) = [each for each in workloads if selects({"matchLabels": service["spec"]["selector"]}, labels(each))]
        ports = {each["name"] for each in pod(backend)["containers"][0]["ports"]}
        assert {each["targetPort"] for each in service["spec"]["ports"]} <= ports


@overlays
def test_grpc_clients_see_every_pod_of_a_service(overlay: str) -> None:
    variables = environment(overlay, named(overlay, "Deployment", "gateway"))
    targets = {name: value for name, value in variables.items() if name.endswith("_TARGET")}
    assert targets.keys() == {
        "HUBBUB_MESSAGES_TARGET",
        "HUBBUB_PRESENCE_TARGET",
        "HUBBUB_MEDIA_TARGET",
        "HUBBUB_INTEGRATIONS_TARGET",
    }
    for target in targets.values():
        found = re.fullmatch(r"dns:///([a-z-]+):([0-9]+)", target or "")
        assert found
        service = named(overlay, "Service", found[1])["spec"]
        assert service["clusterIP"] == "None"
        assert int(found[2]) in {each["port"] for each in service["ports"]}


def test_production_has_one_ingress() -> None:
    (ingress,) = of_kind("prod", "Ingress")
    for rule in ingress["spec"]["rules"]:
        for path in rule["http"]["paths"]:
            assert path["backend"]["service"]["name"] == "gateway"
            assert (path["path"], path["pathType"]) != ("/", "Prefix"), "this would expose /metrics"


def test_everything_that_a_migration_needs_can_be_applied_by_its_label() -> None:
    def migrates(document: Document) -> bool:
        return bool(document["metadata"].get("labels", {}).get("app.kubernetes.io/component") == "migration")

    kinds = {(each["kind"], each["metadata"]["name"]) for each in rendered("prod") if migrates(each)}
    assert kinds == {
        ("Job", "messages-migrate"),
        ("Job", "media-migrate"),
        ("Job", "integrations-migrate"),
        ("ConfigMap", "migrations"),
        ("ServiceAccount", "migrations"),
        ("NetworkPolicy", "migrations"),
    }
