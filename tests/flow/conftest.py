"""A fresh tenant on the session's product for every test."""

import uuid
from collections.abc import AsyncIterator

import httpx
import pytest

from stack import Stack
from tests.flow.world import World


@pytest.fixture
async def world(product: Stack) -> AsyncIterator[World]:
    """A tenant of the test's own."""
    async with httpx.AsyncClient() as http:
        urls = [gateway.url for gateway in product.gateways]
        yield World(product, urls, http, f"t-{uuid.uuid4().hex[:12]}")
