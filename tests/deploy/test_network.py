"""Network policies: every connection is denied except those of the architecture."""

from collections.abc import Iterator

import pytest

from tests.deploy.kustomize import Document
from tests.deploy.manifests import COMPONENTS, OVERLAYS, labels, named, of_kind, selects

GRPC = 9000
_MIGRATION = {"app.kubernetes.io/component": "migration"}
overlays = pytest.mark.parametrize("overlay", OVERLAYS)


@overlays
def test_all_traffic_is_denied_by_default(overlay: str) -> None:
    policy = named(overlay, "NetworkPolicy", "default-deny")["spec"]
    assert policy == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


@overlays
def test_every_workload_has_a_policy_of_its_own(overlay: str) -> None:
    for workload in of_kind(overlay, "Deployment", "StatefulSet"):
        policy = named(overlay, "NetworkPolicy", workload["metadata"]["name"])["spec"]
        assert selects(policy["podSelector"], labels(workload))
        assert policy["policyTypes"] == ["Ingress", "Egress"]
    for job in of_kind(overlay, "Job"):
        assert selects(named(overlay, "NetworkPolicy", "migrations")["spec"]["podSelector"], labels(job))


@overlays
def test_grpc_edges_are_those_of_the_architecture(overlay: str) -> None:
    wanted = {
        ("gateway", "gateway"),
        ("gateway", "messages-api"),
        ("gateway", "presence"),
        ("gateway", "media"),
        ("gateway", "integrations"),
        ("integrations", "messages-feed"),
        ("integrations", "messages-api"),
        ("messages-api", "media"),
    }
    assert set(_leaving(overlay, GRPC)) == wanted
    assert edges(overlay) == wanted


@overlays
def test_workers_and_migrations_accept_no_connection(overlay: str) -> None:
    assert named(overlay, "NetworkPolicy", "messages-worker")["spec"]["ingress"] == []
    assert named(overlay, "NetworkPolicy", "messages-search")["spec"]["ingress"] == []
    assert named(overlay, "NetworkPolicy", "migrations")["spec"]["ingress"] == []


@overlays
def test_only_the_gateway_accepts_connections_from_outside(overlay: str) -> None:
    own = [policy for policy in of_kind(overlay, "NetworkPolicy") if policy["metadata"]["name"] in COMPONENTS]
    open_to_all = [each["metadata"]["name"] for each in own for rule in each["spec"]["ingress"] if "from" not in rule]
    assert open_to_all == ["gateway"]


@overlays
def test_a_migration_resolves_names_before_the_other_policies_exist(overlay: str) -> None:
    job = named(overlay, "Job", "messages-migrate")
    first = [
        each for each in of_kind(overlay, "NetworkPolicy") if selects({"matchLabels": _MIGRATION}, each["metadata"]["labels"])
    ]
    opened = [rule for each in first if selects(each["spec"]["podSelector"], labels(job)) for rule in each["spec"]["egress"]]
    dns = named(overlay, "NetworkPolicy", "every-pod")["spec"]["egress"]
    assert dns[0] in opened


@pytest.mark.parametrize(
    ("component", "label"),
    [("messages-api", "messages"), ("messages-feed", "feed"), ("presence", "presence"), ("media", "media")],
)
def test_other_products_enter_from_labelled_pods_in_their_own_namespaces(component: str, label: str) -> None:
    (rule,) = named("prod", "NetworkPolicy", component)["spec"]["ingress"]
    pods = {"matchLabels": {f"hubbub/{label}-client": "true"}}
    assert {"podSelector": pods} in rule["from"]
    assert {"podSelector": pods, "namespaceSelector": {"matchLabels": {"hubbub/clients": "true"}}} in rule["from"]
    assert all("podSelector" in peer for peer in rule["from"]), "a namespace alone opens nothing"


def test_stores_accept_their_clients_only() -> None:
    def clients(store: str) -> set[str]:
        policy = named("dev", "NetworkPolicy", store)["spec"]
        peers = [peer["podSelector"] for rule in policy["ingress"] for peer in rule["from"]]
        return {name for peer in peers for name in _matching("dev", peer)}

    assert clients("postgres") == {
        "messages-api",
        "messages-worker",
        "messages-search",
        "messages-feed",
        "media",
        "integrations",
        "messages-migrate",
        "media-migrate",
        "integrations-migrate",
    }
    assert clients("valkey") == {"gateway", "messages-api", "messages-worker", "messages-search", "messages-feed", "presence"}


def edges(overlay: str) -> set[tuple[str, str]]:
    """Who may call whom by gRPC: client and server."""
    return set(_entering(overlay, "grpc"))


def _leaving(overlay: str, port: int) -> Iterator[tuple[str, str]]:
    for name, rule in _rules(overlay, "egress"):
        if port in {each.get("port") for each in rule["ports"]}:
            for peer in rule["to"]:
                yield from ((name, other) for other in _matching(overlay, peer["podSelector"]))


def _entering(overlay: str, port: str) -> Iterator[tuple[str, str]]:
    for name, rule in _rules(overlay, "ingress"):
        if port in {each["port"] for each in rule["ports"]}:
            for peer in rule["from"]:
                yield from ((other, name) for other in _matching(overlay, peer["podSelector"]))


def _rules(overlay: str, direction: str) -> Iterator[tuple[str, Document]]:
    for component in COMPONENTS:
        for rule in named(overlay, "NetworkPolicy", component)["spec"][direction]:
            yield component, rule


def _matching(overlay: str, selector: Document) -> list[str]:
    workloads = of_kind(overlay, "Deployment", "Job", "StatefulSet")
    return [each["metadata"]["name"] for each in workloads if selects(selector, labels(each))]
