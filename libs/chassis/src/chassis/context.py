"""The request that the present task works for: its id, and who called, follow it to the row and stand in every log line."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

REQUEST_ID_METADATA = "x-request-id"
"""gRPC metadata key and (case aside) HTTP header."""
_ACCEPTABLE = re.compile(r"[A-Za-z0-9._:-]{1,64}")


def new_request_id() -> str:
    """A fresh id: 16 characters, unguessable enough not to collide."""
    return secrets.token_urlsafe(12)


def request_id_from(given: str | None) -> str:
    """The caller's id where it is a sane one, else a fresh one."""
    return given if given and _ACCEPTABLE.fullmatch(given) else new_request_id()


def current_request_id() -> str | None:
    """The id of the request that the present task works for."""
    value = structlog.contextvars.get_contextvars().get("request_id")
    return value if isinstance(value, str) else None


def current_caller() -> str | None:
    """The service that made the request; None outside of requests, and where it is not known."""
    value = structlog.contextvars.get_contextvars().get("caller")
    return value if isinstance(value, str) else None


@contextmanager
def request(request_id: str, caller: str | None = None) -> Iterator[None]:
    """Work for a request inside the block."""
    named = {"caller": caller} if caller else {}
    with structlog.contextvars.bound_contextvars(request_id=request_id, **named):
        yield
