"""Renders a kustomization: with kubectl if it is installed, otherwise with a strict renderer of what deploy/k8s uses.

The renderer refuses every unknown field and adds no hash to generated names; `test_rendering.py` compares it with kubectl.
"""

import base64
import copy
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

Document = dict[str, Any]
_HASH = re.compile(r"-[2456789bcdfghkmt]{10}$")
_FIELDS = {"apiVersion", "kind", "namespace", "resources", "labels", "images", "patches", "configMapGenerator", "secretGenerator"}
_MERGE_KEYS = {"containers": "name", "env": "name", "volumes": "name", "volumeMounts": "mountPath"}
_CLUSTER_KINDS = {"Namespace"}
_DEADLINE_SECONDS = 60


def render(folder: Path) -> list[Document]:
    """Every document of a kustomization, generated names without their hashes."""
    return render_with_kubectl(folder) if shutil.which("kubectl") else read(folder)


def render_with_kubectl(folder: Path) -> list[Document]:
    """Render with kubectl; raises CalledProcessError with the error in `stderr`."""
    done = subprocess.run(
        ["kubectl", "kustomize", str(folder)], check=True, capture_output=True, text=True, timeout=_DEADLINE_SECONDS
    )
    documents = list(yaml.safe_load_all(done.stdout))
    for document in documents:
        if document["kind"] == "Secret":  # kubectl breaks long lines
            document["data"] = {key: "".join(value.split()) for key, value in document["data"].items()}
    generated = {
        name: _HASH.sub("", name)
        for document in documents
        if document["kind"] in {"ConfigMap", "Secret"} and _HASH.search(name := document["metadata"]["name"])
    }
    return [_renamed(document, generated) for document in documents]


def read(folder: Path) -> list[Document]:
    """Render without kubectl. Raises ValueError for an unknown field."""
    plan = _plan(folder)
    documents = [document for name in plan.get("resources", []) for document in _resource(folder / name)]
    for kind in ("ConfigMap", "Secret"):
        for generator in plan.get(f"{kind[0].lower()}{kind[1:]}Generator", []):
            _generate(documents, kind, generator, folder)
    for patch in plan.get("patches", []):
        _patch(documents, folder / patch["path"], patch.get("target"))
    for document in documents:
        _label(document, plan.get("labels", []))
        _place(document, plan.get("namespace"))
        _retag(document, plan.get("images", []))
    return documents


def _plan(folder: Path) -> Document:
    plan: Document = yaml.safe_load((folder / "kustomization.yaml").read_text())
    if unknown := plan.keys() - _FIELDS:
        raise ValueError(f"{folder}: {', '.join(sorted(unknown))}")
    return plan


def _resource(path: Path) -> list[Document]:
    return read(path) if path.is_dir() else _documents(path)


def _documents(path: Path) -> list[Any]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document is not None]


def _generate(documents: list[Document], kind: str, generator: Document, folder: Path) -> None:
    if unknown := generator.keys() - {"name", "behavior", "envs", "literals", "files", "options"}:
        raise ValueError(f"{folder}: {', '.join(sorted(unknown))}")
    lines = [*generator.get("literals", [])]
    for name in generator.get("envs", []):
        lines += [line for line in (folder / name).read_text().splitlines() if line and not line.startswith("#")]
    data = dict(line.split("=", 1) for line in lines)
    data |= {Path(name).name: (folder / name).read_text() for name in generator.get("files", [])}
    if kind == "Secret":
        data = {name: base64.b64encode(value.encode()).decode() for name, value in data.items()}
    if generator.get("behavior") == "merge":
        _one(documents, kind, generator["name"])["data"].update(data)
        return
    document: Document = {"apiVersion": "v1", "kind": kind, "metadata": {"name": generator["name"]}, "data": data}
    if given := generator.get("options", {}).get("labels"):
        document["metadata"]["labels"] = dict(given)
    documents.append(document | ({"type": "Opaque"} if kind == "Secret" else {}))


def _patch(documents: list[Document], path: Path, target: Document | None) -> None:
    for patch in _documents(path):
        if isinstance(patch, list) and target:
            for document in documents:
                if document["kind"] == target["kind"] and target.get("name") in {None, document["metadata"]["name"]}:
                    for operation in patch:
                        _operate(document, operation)
        elif isinstance(patch, list) or target:
            raise ValueError(f"{path}: a JSON patch needs a target, a merge patch names its own")
        else:
            _merge(_one(documents, patch["kind"], patch["metadata"]["name"]), patch)


def _operate(document: Document, operation: Document) -> None:
    *parents, last = operation["path"].strip("/").split("/")
    place: Any = document
    for step in parents:
        place = place[int(step)] if isinstance(place, list) else place.setdefault(step, {})
    value = copy.deepcopy(operation["value"])
    match operation["op"], place:
        case "add", list() if last == "-":
            place.append(value)
        case "add" | "replace", dict() if operation["op"] == "add" or last in place:
            place[last] = value
        case _:
            raise ValueError(f"{operation['op']} {operation['path']}")


def _merge(document: Document, patch: Document) -> None:
    for field, value in patch.items():
        key = _MERGE_KEYS.get(field)
        if isinstance(value, dict):
            _merge(document.setdefault(field, {}), value)
        elif key is not None:
            present = {each[key]: each for each in document.setdefault(field, [])}
            for item in value:
                if item[key] in present:
                    _merge(present[item[key]], item)
                else:
                    document[field].append(copy.deepcopy(item))
        else:
            document[field] = value


def _label(document: Document, labels: list[Document]) -> None:
    for entry in labels:
        if unknown := entry.keys() - {"pairs", "includeTemplates"}:
            raise ValueError(f"labels: {', '.join(sorted(unknown))}")
        places = [document, *_templates(document)] if entry.get("includeTemplates") else [document]
        for place in places:
            place.setdefault("metadata", {}).setdefault("labels", {}).update(entry["pairs"])


def _templates(document: Document) -> Iterator[Document]:
    spec = document.get("spec", {})
    if "template" in spec:
        yield spec["template"]
    yield from spec.get("volumeClaimTemplates", [])


def _place(document: Document, namespace: str | None) -> None:
    if namespace and document["kind"] not in _CLUSTER_KINDS:
        document["metadata"]["namespace"] = namespace


def _retag(document: Document, images: list[Document]) -> None:
    for template in _templates(document):
        for container in template.get("spec", {}).get("containers", []):
            for image in images:
                if container["image"] == image["name"]:
                    container["image"] = f"{image.get('newName', image['name'])}:{image['newTag']}"


def _one(documents: list[Document], kind: str, name: str) -> Document:
    found = [each for each in documents if each["kind"] == kind and each["metadata"]["name"] == name]
    if len(found) != 1:
        raise ValueError(f"{len(found)} of {kind} {name}")
    return found[0]


def _renamed(value: Any, names: dict[str, str]) -> Any:
    match value:
        case dict():
            return {key: _renamed(each, names) for key, each in value.items()}
        case list():
            return [_renamed(each, names) for each in value]
        case str():
            return names.get(value, value)
        case _:
            return value
