"""The gateway's public port: uvicorn serves HTTP on it, and `door.http_connection` handles each connection."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from functools import partial

import uvicorn
from starlette.types import ASGIApp

from chassis.config import Address
from gateway.door.capacity import Capacity
from gateway.door.hosts import ServedHost
from gateway.door.http_connection import HttpConnection, Upgrades

BACKLOG = 4_096


class Server(uvicorn.Server):
    """uvicorn without signal handlers: `chassis.lifecycle` handles signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do nothing."""
        yield


def make_server(app: ASGIApp, upgrades: Upgrades, *, served: ServedHost, capacity: Capacity) -> Server:
    """A server for `app`; serve it with a socket of `bind`."""
    config = uvicorn.Config(
        app,
        http=partial(HttpConnection, upgrades=upgrades, served=served, capacity=capacity),  # type: ignore[arg-type]  # a class
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=3,
        backlog=BACKLOG,
    )
    server = Server(config)
    capacity.count(lambda: len(server.server_state.connections))
    return server


def bind(listen: Address) -> socket.socket:
    """A listening socket. Raises `OSError` where the address is taken."""
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # named: only then asyncio sets TCP_NODELAY
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((listen.host.strip("[]"), listen.port))
        bound.listen(BACKLOG)
        bound.setblocking(False)
    except OSError:
        bound.close()
        raise
    return bound
