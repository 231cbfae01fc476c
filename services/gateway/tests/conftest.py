"""Fixtures of the gateway's tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.gateway.tests.world import World


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A store, and a gateway's hub with what feeds it, without bus and without network."""
    async with asyncio.TaskGroup() as group:
        made = World(group)
        yield made
        for connection in list(made.roster.connections.values()):
            made.roster.gone(connection)
        for call in list(made.store.calls):
            call.arrive()
