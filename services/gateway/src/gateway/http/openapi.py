"""Writes the HTTP API's OpenAPI document, docs/openapi.json, from the table of routes and their declarations.

docs/protocol.md explains what types cannot express: permissions, order, meaning.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import msgspec

from chassis import errors
from chassis.errors import HubbubError
from gateway.http import problems
from gateway.http.operation import Operation
from gateway.http.routes import DEVELOPMENT, TABLE
from gateway.identity.cookies import COOKIE
from gateway.protocol.scopes import Beyond

_REFERENCE = "#/components/schemas/{name}"
_JSON = "application/json"
_SECURITY = {
    "token": {"type": "http", "scheme": "bearer", "description": "A JWT of an issuer, or the token of a bot."},
    "session": {"type": "apiKey", "in": "cookie", "name": COOKIE, "description": "Where people sign in with a browser."},
}
_PATH_NAME = re.compile(r"\{(\w+)(?::path)?\}")


def document() -> str:
    """The whole document, JSON."""
    operations = list(_operations())
    shapes = [shape for _, _, operation in operations for shape in _shapes_of(operation)]
    _, schemas = msgspec.json.schema_components([problems.Problem, *shapes], ref_template=_REFERENCE)
    paths: dict[str, dict[str, Any]] = {}
    for path, method, operation in operations:
        paths.setdefault(_PATH_NAME.sub(r"{\1}", path), {})[method.lower()] = _described(path, operation)
    whole = {
        "openapi": "3.1.0",
        "info": {"title": "Hubbub", "version": "1", "description": "protocol.md explains the API and the WebSocket."},
        "paths": paths,
        "components": {"schemas": schemas, "responses": _problems(), "securitySchemes": _SECURITY},
    }
    return json.dumps(in_ecma_script(whole), indent=1, ensure_ascii=False) + "\n"


def _operations() -> Iterator[tuple[str, str, Operation]]:
    for path, handlers in (*TABLE, *DEVELOPMENT):
        for method, operation in handlers.items():
            yield path, method, operation


def _shapes_of(operation: Operation) -> Iterator[Any]:
    """The types of JSON bodies."""
    if "body" in operation.takes:
        yield operation.takes["body"]
    yield from (shape for shape in operation.answers.values() if shape is not None and not isinstance(shape, str))


def _described(path: str, operation: Operation) -> dict[str, Any]:
    handler = operation.handler
    tag = handler.__module__.rpartition(".")[2]
    described: dict[str, Any] = {
        "operationId": f"{tag}.{handler.__name__}",
        "tags": [tag],
        "summary": (handler.__doc__ or "").partition("\n")[0],
        "parameters": [*_path_parameters(path), *_parameters("query", operation), *_parameters("header", operation)],
        "responses": {str(status): _answer(status, shape) for status, shape in operation.answers.items()},
    }
    for error in _refusals(path, operation):
        described["responses"].setdefault(str(error.http_status), {"$ref": f"#/components/responses/{_problem_name(error)}"})
    if "body" in operation.takes:
        described["requestBody"] = {"required": True, "content": _content(operation.takes["body"])}
    if operation.scope not in (None, Beyond.HOOK):
        described["security"] = [{scheme: []} for scheme in _SECURITY]
    return described


def _path_parameters(path: str) -> Iterator[dict[str, Any]]:
    for name in _PATH_NAME.findall(path):
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def _parameters(where: str, operation: Operation) -> Iterator[dict[str, Any]]:
    shape = operation.takes.get({"query": "query", "header": "headers"}[where])
    if shape is None:
        return
    (fields,) = msgspec.json.schema(shape)["$defs"].values()
    for name, schema in fields["properties"].items():
        yield {"name": name, "in": where, "required": name in fields["required"], "schema": schema}


def _content(shape: Any) -> dict[str, Any]:
    if isinstance(shape, str):
        return {shape: {"schema": {"type": "string"}}}
    (schema,), _ = msgspec.json.schema_components([shape], ref_template=_REFERENCE)
    return {_JSON: {"schema": schema}}


def _answer(status: int, shape: Any) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": HTTPStatus(status).phrase}
    if shape is not None:
        answer["content"] = _content(shape)
    if status // 100 == 3:  # noqa: PLR2004 - a redirection
        answer["headers"] = {"Location": {"required": True, "schema": {"type": "string"}}}
    return answer


def _refusals(path: str, operation: Operation) -> list[type[HubbubError]]:
    """The errors of an operation: those that it declares, and those that follow from what it takes."""
    found = [*operation.refusals, errors.Internal]
    if operation.scope is not None:
        found += [errors.NotAllowed, errors.RateLimited, errors.Unavailable]
        found += [] if operation.scope is Beyond.HOOK else [errors.NotAuthenticated]
    if "body" in operation.takes:
        found.append(errors.TooLarge)
    if _PATH_NAME.search(path):
        found += [errors.InvalidArgument, errors.NotAllowed, errors.NotFound]
    if operation.takes.keys() - {"identity"}:
        found.append(errors.InvalidArgument)
    return sorted(found, key=lambda error: error.http_status)


def _problem_name(error: type[HubbubError]) -> str:
    return HTTPStatus(error.http_status).phrase.replace(" ", "")


def _problems() -> dict[str, Any]:
    """An answer for each status of an error, with its reasons."""
    answers: dict[str, Any] = {}
    for error in errors.ALL:
        reasons = [each.reason for each in errors.ALL if each.http_status == error.http_status]
        reason_schema = {"properties": {"status": {"const": error.http_status}, "reason": {"enum": reasons}}}
        headers = problems.headers_of(error())
        answers[_problem_name(error)] = {
            "description": " or ".join(f"`{reason}`" for reason in reasons),
            "headers": {name: {"required": True, "schema": {"type": "string"}} for name in headers},
            "content": {problems.MEDIA_TYPE: {"schema": {"allOf": [{"$ref": _REFERENCE.format(name="Problem")}, reason_schema]}}},
        }
    return answers


def in_ecma_script(schema: Any) -> Any:
    """The schema with its patterns in ECMAScript, as JSON Schema demands; Python spells the ends of a text differently."""
    match schema:
        case {"pattern": str(pattern)}:
            rest = {name: each for name, each in schema.items() if name != "pattern"}
            return {**in_ecma_script(rest), "pattern": pattern.replace(r"\A", "^").replace(r"\Z", "$")}
        case dict():
            return {name: in_ecma_script(each) for name, each in schema.items()}
        case list() | tuple():
            return [in_ecma_script(each) for each in schema]
        case _:
            return schema
