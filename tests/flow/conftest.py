"""The session's stack: two gateways, two workers; and a fresh tenant on it for every test."""

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from stack import Stack
from tests.flow.world import World

HEARTBEAT_SECONDS = 5


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def product(server_data: Path) -> AsyncIterator[Stack]:
    """Everything that `make run` starts."""
    env = {"HUBBUB_HEARTBEAT_SECONDS": str(HEARTBEAT_SECONDS)}
    async with Stack(server_data / "flow", gateways=2, workers=2, env=env) as stack:
        yield stack


@pytest.fixture
async def world(product: Stack) -> AsyncIterator[World]:
    """A tenant of the test's own."""
    async with httpx.AsyncClient() as http:
        urls = [gateway.url for gateway in product.gateways]
        yield World(product, urls, http, f"t-{uuid.uuid4().hex[:12]}")
