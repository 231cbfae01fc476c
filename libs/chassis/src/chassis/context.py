"""The request of the current task: its id and its caller, which appear in every log line and travel with RPCs."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import structlog

REQUEST_ID_METADATA = "x-request-id"
"""gRPC metadata key and HTTP header."""
_serving: ContextVar[frozenset[str] | None] = ContextVar("serving")
_ACCEPTABLE = re.compile(r"[A-Za-z0-9._:-]{1,64}")


def new_request_id() -> str:
    """Return a new id of 16 random characters (96 bits)."""
    return secrets.token_urlsafe(12)


def request_id_from(given: str | None) -> str:
    """Return the caller's id if it is well-formed, else a new one."""
    return given if given and _ACCEPTABLE.fullmatch(given) else new_request_id()


def current_request_id() -> str | None:
    """Return the id of the current request, or None outside of requests."""
    value = structlog.contextvars.get_contextvars().get("request_id")
    return value if isinstance(value, str) else None


def current_caller() -> str | None:
    """Return the name of the calling service; None outside of requests, and for unknown callers."""
    value = structlog.contextvars.get_contextvars().get("caller")
    return value if isinstance(value, str) else None


def serving() -> frozenset[str] | None:
    """Return the tenants for which the calling service may act; None for all. Raises `LookupError` outside of RPCs."""
    return _serving.get()


@contextmanager
def serving_tenants(tenants: frozenset[str] | None) -> Iterator[None]:
    """Let `serving` return these tenants inside the block."""
    token = _serving.set(tenants)
    try:
        yield
    finally:
        _serving.reset(token)


@contextmanager
def request(request_id: str, caller: str | None = None) -> Iterator[None]:
    """Bind the request id and the caller to the current task inside the block."""
    bound = {"caller": caller} if caller else {}
    with structlog.contextvars.bound_contextvars(request_id=request_id, **bound):
        yield
