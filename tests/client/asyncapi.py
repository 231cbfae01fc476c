"""Checks real frames against the AsyncAPI document of the socket.

The document lets the server add fields, as protocol.md does. These checks do not: a field that passes over the wire and is not in
the document is a mistake in one of them.
"""

import json
from typing import Any

import jsonschema_rs

from gateway.asyncapi import document
from tests.client.shapes import Mismatch

DOCUMENT: dict[str, Any] = json.loads(document.document())
_MESSAGES: dict[str, Any] = DOCUMENT["components"]["messages"]


def _strict(schema: Any) -> Any:
    """The schema without room for fields that it does not name."""
    match schema:
        case {"type": "object", "properties": dict()}:
            return {"additionalProperties": False, **{name: _strict(each) for name, each in schema.items()}}
        case dict():
            return {name: _strict(each) for name, each in schema.items()}
        case list():
            return [_strict(each) for each in schema]
        case _:
            return schema


def _validator(name: str) -> jsonschema_rs.Validator:
    schemas = _strict(DOCUMENT["components"]["schemas"])
    return jsonschema_rs.Draft202012Validator(
        {**_MESSAGES[name]["payload"], "components": {"schemas": schemas}}, validate_formats=True
    )


_VALIDATORS = {name: _validator(name) for name in _MESSAGES}


def received(frame: dict[str, Any]) -> None:
    """Check a frame from the server. Raises Mismatch unless the document describes it exactly."""
    problem = wrong("server", frame)
    if problem is not None:
        raise Mismatch(f"{frame}: {problem}")


def wrong(sender: str, frame: dict[str, Any]) -> str | None:
    """What is wrong with a frame of `client` or `server` by the document; None if nothing is."""
    validator = _VALIDATORS.get(f"{sender}.{frame.get('type')}")
    if validator is None:
        return "the document has no such message"
    error = next(validator.iter_errors(frame), None)
    return None if error is None else error.message


def answers(type_: str) -> set[str]:
    """The types of the frames that may answer a client's frame."""
    reply = DOCUMENT["operations"][f"client.{type_}"]["reply"]["messages"]
    return {message["$ref"].rpartition(".")[2] for message in reply}
