"""Fixtures of the gateway's tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.gateway.tests.house import House, open_house
from services.gateway.tests.world import World


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A model of the store and a gateway's hub, without bus and network."""
    async with asyncio.TaskGroup() as group:
        made = World(group)
        yield made
        for connection in list(made.registry.connections.values()):
            made.registry.gone(connection)
        for call in list(made.store.calls):
            call.arrive()


@pytest.fixture
async def house(valkey_url: str, tmp_path: Path) -> AsyncIterator[House]:
    """A whole gateway on a port, with a real bus and a model of the services."""
    async with open_house(valkey_url, tmp_path) as opened:
        yield opened
