"""Reads the templates of deploy/ecs, and resolves what their functions refer to, as far as the tests need."""

import functools
import re
from collections.abc import Iterator
from typing import Any

from cfnlint.decode import cfn_yaml

from tests.deploy.manifests import ROOT

TEMPLATES = sorted((ROOT / "deploy" / "ecs").glob("*.yaml"))
_PARAMETERS = {"Name": "hubbub", "AWS::Region": "eu-central-1", "AWS::URLSuffix": "amazonaws.com", "AWS::Partition": "aws"}


@functools.cache
def template(name: str) -> dict[str, Any]:
    """A template by its file's name; functions are in their long form."""
    found: dict[str, Any] = cfn_yaml.load(str(ROOT / "deploy" / "ecs" / name))
    return found


def resources(*kinds: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The logical names and properties of all resources of some kinds, over all templates."""
    for file in TEMPLATES:
        for name, resource in template(file.name)["Resources"].items():
            if resource["Type"] in kinds:
                yield name, resource.get("Properties", {})


def exports(name: str) -> set[str]:
    """What a template exports."""
    return {text(output["Export"]["Name"]) for output in template(name).get("Outputs", {}).values() if "Export" in output}


def imports(value: Any) -> Iterator[str]:
    """What a part of a template imports."""
    match value:
        case {"Fn::ImportValue": name}:
            yield text(name)
        case dict():
            for each in value.values():
                yield from imports(each)
        case list():
            for each in value:
                yield from imports(each)


def text(value: Any) -> str:
    """A value as text; `<name>` for what is imported, `{Name}` for other parameters."""
    match value:
        case {"Fn::ImportValue": name}:
            return f"<{text(name)}>"
        case {"Ref": name}:
            return _PARAMETERS.get(name, f"{{{name}}}")
        case {"Fn::Sub": [str(pattern), given]}:
            known = {name: text(each) for name, each in given.items()}
            return re.sub(r"\$\{([\w:.]+)\}", lambda match: known.get(match[1]) or text({"Ref": match[1]}), pattern)
        case {"Fn::Sub": str(pattern)}:
            return re.sub(r"\$\{([\w:.]+)\}", lambda match: text({"Ref": match[1]}), pattern)
        case str() | int():
            return str(value)
        case _:
            raise ValueError(f"unknown function in {value}")
