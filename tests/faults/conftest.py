"""The stack for tests of bounds, of shutdown and of reconciliation: high rate limits, and reconciliation every two seconds."""

import os
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from stack import Stack
from tests.flow.world import World

_ENV = {
    **dict.fromkeys(
        [
            "HUBBUB_SENDS_PER_SECOND",
            "HUBBUB_SEND_BURST",
            "HUBBUB_TENANT_SENDS_PER_SECOND",
            "HUBBUB_REQUESTS_PER_SECOND",
            "HUBBUB_REQUEST_BURST",
            "HUBBUB_TENANT_REQUESTS_PER_SECOND",
        ],
        "100000",
    ),
    "HUBBUB_RECONCILE_SECONDS": "2",
}


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def roomy(server_data: Path) -> AsyncIterator[Stack]:
    """Return the stack. A test that stops a process waits until it serves again."""
    async with Stack(server_data / f"roomy-{os.getpid()}", gateways=2, workers=2, env=_ENV) as stack:
        yield stack


@pytest.fixture
async def open_world(roomy: Stack) -> AsyncIterator[World]:
    """A new tenant for the test."""
    async with httpx.AsyncClient(timeout=20) as http:
        yield World(roomy, [gateway.url for gateway in roomy.gateways], http, f"t-{uuid.uuid4().hex[:12]}")
