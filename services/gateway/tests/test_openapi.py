"""The committed OpenAPI document is complete and equals the generated one."""

from __future__ import annotations

import json
import re
from pathlib import Path

from gateway.http import openapi
from gateway.http.routes import DEVELOPMENT, TABLE


def test_the_committed_document_is_the_generated_one() -> None:
    stored = Path(__file__).parents[3] / "docs" / "openapi.json"
    assert stored.read_text() == openapi.document(), "run `make docs`"


def test_the_document_names_every_path_and_method_of_the_routes() -> None:
    routed = {(path.replace(":path}", "}"), method) for path, handlers in (*TABLE, *DEVELOPMENT) for method in handlers}
    paths = json.loads(openapi.document())["paths"]
    assert {(path, method.upper()) for path, methods in paths.items() for method in methods} == routed


def test_every_operation_has_a_unique_name_and_a_summary() -> None:
    operations = [each for methods in json.loads(openapi.document())["paths"].values() for each in methods.values()]
    assert len({each["operationId"] for each in operations}) == len(operations)
    assert all(each["summary"] for each in operations)


def test_every_reference_leads_to_a_schema() -> None:
    """Two types of one name would have references that lead nowhere."""
    document = openapi.document()
    schemas = json.loads(document)["components"]["schemas"]
    assert set(re.findall(r'"#/components/schemas/([^"]+)"', document)) <= schemas.keys()
