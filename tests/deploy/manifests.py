"""The overlays as rendered by `kustomize`, the chart's examples as rendered by Helm, and queries that several tests share."""

import base64
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.deploy.helm import EXAMPLES, example
from tests.deploy.kustomize import Document, render

ROOT = Path(__file__).parents[2]
K8S = ROOT / "deploy" / "k8s"
OVERLAYS = ("dev", "prod")
COMPONENTS = (
    "gateway",
    "messages-api",
    "messages-worker",
    "messages-search",
    "messages-feed",
    "presence",
    "media",
    "integrations",
)
JOBS = ("messages-migrate", "media-migrate", "integrations-migrate")


@functools.cache
def rendered(overlay: str) -> list[Document]:
    """Every document of an overlay, or of an example of the chart; callers must not change them."""
    return example(overlay) if overlay in EXAMPLES else render(K8S / "overlays" / overlay)


def of_kind(overlay: str, *kinds: str) -> list[Document]:
    """The documents of some kinds."""
    return [document for document in rendered(overlay) if document["kind"] in kinds]


def named(overlay: str, kind: str, name: str) -> Document:
    """One document; raises ValueError unless there is exactly one."""
    (found,) = [document for document in of_kind(overlay, kind) if document["metadata"]["name"] == name]
    return found


def pod(workload: Document) -> Document:
    """The pod's spec of a Deployment, StatefulSet or Job."""
    spec: Document = workload["spec"]["template"]["spec"]
    return spec


def labels(workload: Document) -> dict[str, str]:
    """The labels of a workload's pods."""
    found: dict[str, str] = workload["spec"]["template"]["metadata"]["labels"]
    return found


def selects(selector: Document, pod_labels: dict[str, str]) -> bool:
    """Whether a label selector matches; knows matchLabels only."""
    if selector.keys() - {"matchLabels"}:
        raise ValueError(f"a selector with {', '.join(selector)}")
    wanted: dict[str, str] = selector.get("matchLabels", {})
    return wanted.items() <= pod_labels.items()


def environment(overlay: str, workload: Document) -> dict[str, str | None]:
    """The environment of the workload's container; None stands for a value from a secret outside the manifests."""
    (container,) = pod(workload)["containers"]
    found: dict[str, str | None] = {}
    for source in container.get("envFrom", []):
        found |= named(overlay, "ConfigMap", source["configMapRef"]["name"])["data"]
    for variable in container.get("env", []):
        found[variable["name"]] = _value(overlay, variable)
    return found


def secrets(overlay: str) -> Iterator[tuple[str, str]]:
    """Every (secret, key) that Hubbub's pods use."""
    for workload in of_kind(overlay, "Deployment", "Job"):
        for variable in pod(workload)["containers"][0]["env"]:
            reference = variable.get("valueFrom", {}).get("secretKeyRef")
            if reference:
                yield reference["name"], reference["key"]


def _value(overlay: str, variable: dict[str, Any]) -> str | None:
    match variable:
        case {"value": str(value)}:
            return value
        case {"valueFrom": {"fieldRef": {"fieldPath": str(path)}}}:
            return path
        case {"valueFrom": {"secretKeyRef": {"name": str(name), "key": str(key)}}}:
            known = [each for each in of_kind(overlay, "Secret") if each["metadata"]["name"] == name]
            if known and "stringData" in known[0]:
                plain: str = known[0]["stringData"][key]
                return plain
            return base64.b64decode(known[0]["data"][key]).decode() if known else None
        case _:
            raise ValueError(f"unknown source of {variable['name']}")
