"""What the tests of several services share: one running product."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from stack import Stack


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def product(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """Return the session's product, with two gateways and two workers. A test that breaks a process waits until it is back."""
    env = {"HUBBUB_HEARTBEAT_SECONDS": "5"}  # so that a test of silence need not be long
    async with Stack(tmp_path_factory.mktemp("product"), gateways=2, workers=2, env=env) as stack:
        yield stack
