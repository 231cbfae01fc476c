"""The manifests can be rendered, and are valid for Kubernetes."""

import shutil

import kubernetes_validate
import pytest

from tests.deploy.kustomize import Document, read, render_with_kubectl
from tests.deploy.manifests import K8S, OVERLAYS, rendered

OLDEST_KUBERNETES = "1.31"  # the first version with preStop.sleep enabled by default


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed; the manifests are read without it")
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_our_renderer_and_kubectl_agree(overlay: str) -> None:
    def by_name(documents: list[Document]) -> dict[tuple[str, str], Document]:
        return {(each["kind"], each["metadata"]["name"]): each for each in documents}

    folder = K8S / "overlays" / overlay
    ours, theirs = by_name(read(folder)), by_name(render_with_kubectl(folder))
    assert ours.keys() == theirs.keys()
    for name, document in ours.items():
        assert document == theirs[name]


@pytest.mark.parametrize("version", [OLDEST_KUBERNETES, kubernetes_validate.latest_version()])
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_document_is_valid(overlay: str, version: str) -> None:
    for document in rendered(overlay):
        kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_document_is_in_the_namespace_and_unique(overlay: str) -> None:
    names = [(each["kind"], each["metadata"]["name"]) for each in rendered(overlay)]
    assert len(names) == len(set(names))
    for document in rendered(overlay):
        assert document["kind"] == "Namespace" or document["metadata"]["namespace"] == "hubbub"


def test_production_contains_no_secret_and_no_store() -> None:
    kinds = {document["kind"] for document in rendered("prod")}
    assert not kinds & {"Secret", "StatefulSet", "PersistentVolumeClaim"}
