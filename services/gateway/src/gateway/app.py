"""The composition root: builds the gateway's parts, runs them, and stops them in order."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from pathlib import Path

import structlog
from starlette.types import ASGIApp

from bus.bus import Bus
from bus.connect import open_bus, open_signals
from bus.gateway_leases import GatewayLeases, open_gateway_leases
from bus.signals import Signals
from chassis import grpc_server
from chassis.callers import callers_of
from chassis.grpc_tls import TlsFiles
from chassis.lifecycle import Lifecycle, run
from chassis.under_way import UnderWay
from gateway.clients import Clients, connect
from gateway.commands.attachments import Attachments
from gateway.commands.dispatch import Dispatch
from gateway.commands.pending import Pending
from gateway.commands.publisher import CommandPublisher
from gateway.commands.renewal import Renewals
from gateway.config import Config
from gateway.door import readiness
from gateway.door.capacity import Capacity
from gateway.door.drain import drain
from gateway.door.hosts import served_hosts
from gateway.door.opening import SYNC_EVENTS, Opening
from gateway.door.opening_loader import OpeningLoader
from gateway.door.server import bind, make_server
from gateway.door.upgrade import CONNECT_PATH, Upgrades
from gateway.http.api import AT_ONCE, WAIT_SECONDS, WAITING, WALKS_AT_ONCE, Api
from gateway.http.routes import make_app
from gateway.hub.catchup import CatchUps
from gateway.hub.fanout import Fanout
from gateway.hub.fill import GapFiller
from gateway.hub.gains import Gains
from gateway.hub.hub import Hub
from gateway.hub.reconcile import Reconciler
from gateway.identity.access_cache import AccessCache
from gateway.identity.authentication import Authenticator
from gateway.identity.bots import BotIdentities
from gateway.identity.issuers import DevIssuer, Issuer, dev_key
from gateway.identity.sign_in import make_sign_in
from gateway.identity.tickets import Tickets
from gateway.protocol.close_codes import Close
from gateway.protocol.incoming import FRAME_BYTES
from gateway.rates.shared import SharedRates, UsageExchange
from gateway.revocation.apply import Revocations
from gateway.revocation.follow import RevocationFollower
from gateway.revocation.lease import GatewayLease
from gateway.socketio.door import HEARTBEAT, SOCKET_IO_PATH, SocketIoDoor
from gateway.socketio.engine import Engine
from gateway.socketio.handover import HandOver
from gateway.socketio.peer_service import MOST_CALLS, SERVICE, PeerService
from gateway.socketio.peers import Peers
from gateway.socketio.recovery import Recovery
from gateway.state.blocks import Blocks
from gateway.state.counts import Counts
from gateway.state.presence import Presences
from gateway.state.typing import TypingSignals
from gateway.supervise import kept_running
from gateway.wire.registry import Registry
from hubbub.gateway.v1.gateway_service_pb2_grpc import add_GatewayServiceServicer_to_server
from sendmany import NATIVE

log = structlog.get_logger()


class Gateway:
    """The gateway and all its parts; `group` owns their tasks."""

    def __init__(
        self,
        config: Config,
        lifecycle: Lifecycle,
        *,
        bus: Bus,
        signals: Signals,
        leases: GatewayLeases,
        clients: Clients,
        group: asyncio.TaskGroup,
    ) -> None:
        self.id = secrets.token_hex(6)
        """Unique per start: replies to commands of an earlier process are not for this one."""
        self.config, self.lifecycle, self.group = config, lifecycle, group
        self._bus, self._clients = bus, clients
        messages, partitions = clients.messages, config.bus_partitions

        self.socketio: Engine | None = None
        """The Socket.IO door, while it is served."""
        self.capacity = Capacity(config.connection_limit)
        self._lease = lease = GatewayLease(leases, bus, self.id)
        self._peers = Peers(leases, self.id, config.identity, TlsFiles.of(config), group)
        self._recovery = Recovery(self.id, signals, self._peers)
        self.registry = registry = Registry(self.id, 2 * config.heartbeat_seconds, lambda: lease.cut_off)
        self.hub = hub = Hub(registry)

        self._dev_issuer = DevIssuer(dev_key(Path(config.dev_key_file))) if config.dev_login else None
        self._bots = BotIdentities(messages)
        self._authenticator = Authenticator(_issuers(config, self._dev_issuer), self._bots)
        self._tickets = Tickets(signals)
        self._access = AccessCache(messages, cut_off=lambda: lease.cut_off)
        self._rates = SharedRates.of(config)
        self._usage = UsageExchange(self._rates.by_name, signals, self.id)
        self._revocations = Revocations(hub, registry, self._access, messages, lease)
        self._follower = RevocationFollower(bus, leases, lease, self._revocations, self.id)

        self._pending = Pending(registry.writer, registry.connections)
        self._publisher = CommandPublisher(bus, partitions, self._pending, lambda: lease.cut_off)
        self._reconciler = Reconciler(hub, messages, partitions, config.reconcile_seconds)
        self._counts = Counts(hub, registry)
        self._filler = GapFiller(hub, messages, self._pending.stored, group)
        self._gains = Gains(hub, registry, messages, group)
        self._fanout = Fanout(
            bus,
            self.id,
            partitions=partitions,
            hub=hub,
            writer=registry.writer,
            accounts=registry.accounts,
            reconciler=self._reconciler,
            on_reads=self._counts.read,
            on_event=self._pending.stored,
            on_reply=self._pending.replied,
            on_lost=self._revocations.doubt_all,
            awaiting=lambda: len(self._pending) > 0,
            on_tenant=self._publisher.tenants.seen,
        )
        self._presences = Presences(registry.writer, clients.presence, self.id)
        registry.on_open.append(self._presences.opened)
        registry.on_end.append(self._presences.ended)
        blocks = Blocks(registry, self._presences)
        self._revocations.on_session, self._revocations.on_block = blocks.load, blocks.apply
        self._typing = TypingSignals(hub, registry.writer, signals, partitions, lambda: registry.sweep.now)
        self._opening = Opening(
            config,
            registry,
            hub,
            loader=OpeningLoader(messages, group),
            reconciler=self._reconciler,
            revocations=self._revocations,
            access=self._access,
        )
        self._dispatch = Dispatch(
            registry,
            gateway=self.id,
            pending=self._pending,
            publisher=self._publisher,
            attachments=Attachments(registry, clients.media, group),
            catch_ups=CatchUps(hub, registry, messages, group=group, rate=self._rates.catch_ups, sync_events=SYNC_EVENTS),
            presences=self._presences,
            typing=self._typing,
            rates=self._rates,
            renewals=Renewals(
                registry, authenticator=self._authenticator, tickets=self._tickets, access=self._access, group=group
            ),
        )

    async def serve(self, listening: socket.socket) -> None:
        """Serve on a listening socket until the process is stopped, then drain."""
        async with contextlib.AsyncExitStack() as stack:
            await self._serve(listening, stack)

    async def _serve(self, listening: socket.socket, stack: contextlib.AsyncExitStack) -> None:
        following = asyncio.Event()
        running = [self.group.create_task(each) for each in self._loops(following)]

        def accepting() -> bool:
            return following.is_set() and not self.lifecycle.stopping.is_set()  # `hub.hub` explains why

        upgrades = Upgrades(
            self.registry,
            self._opening,
            group=self.group,
            authenticator=self._authenticator,
            tickets=self._tickets,
            rates=self._rates,
            receive=self._dispatch.receive,
            allowed_origins=self.config.allowed_origins,
            accepting=accepting,
        )
        api = Api(
            config=self.config,
            clients=self._clients,
            authenticator=self._authenticator,
            bots=self._bots,
            access=self._access,
            rates=self._rates,
            requests=UnderWay(AT_ONCE, "Too many requests of this user are under way", waiting=WAITING, seconds=WAIT_SECONDS),
            walks=UnderWay(WALKS_AT_ONCE, "Too many searches or exports of this user are under way"),
            tickets=self._tickets,
            dev_issuer=self._dev_issuer,
            sign_in=make_sign_in(self.config),
            lifecycle=self.lifecycle,
        )
        engine = self.socketio = await self._make_socketio(accepting, stack) if self.config.socketio else None
        mounted: dict[str, ASGIApp] = {} if engine is None else {SOCKET_IO_PATH: engine}
        doors = {CONNECT_PATH: upgrades.begin} | ({} if engine is None else {SOCKET_IO_PATH.encode(): engine.begin})
        self.capacity.count(lambda: upgrades.under_way, lambda: len(self.registry.connections))
        self.lifecycle.full = lambda: self.capacity.full
        served = served_hosts(self.config.hosts, self.config.own_host, production=self.config.production)
        server = make_server(make_app(api, mounted), doors, served=served, capacity=self.capacity)
        serving = self.group.create_task(server.serve(sockets=[listening]))
        log.info("gateway_started", gateway=self.id, address=str(self.config.listen), compiled_sends=NATIVE)
        await self.lifecycle.stopping.wait()
        await drain(self.registry, self._publisher, self._pending, self.config.drain_seconds)
        if engine is not None:
            engine.close(Close.RESTARTING)
        server.should_exit = True
        await serving
        await self._recovery.leave()
        await stack.aclose()
        for task in running:
            task.cancel()
        await self._lease.leave()

    async def _make_socketio(self, accepting: Callable[[], bool], stack: contextlib.AsyncExitStack) -> Engine:
        """The Socket.IO door; on leaving `stack`, other gateways are served no longer."""
        door = SocketIoDoor(
            self.registry,
            self._opening,
            self._dispatch,
            group=self.group,
            authenticator=self._authenticator,
            tickets=self._tickets,
            rates=self._rates,
            allowed_origins=self.config.allowed_origins,
            late_auth=self.config.socketio_late_auth,
            accepting=accepting,
            recovery=self._recovery,
            presences=self._presences,
            epoch=self.hub.epoch,
        )
        elsewhere = HandOver(self._peers, heartbeat=HEARTBEAT, max_payload=FRAME_BYTES, group=self.group)
        stack.callback(elsewhere.close)
        self.capacity.count(lambda: elsewhere.websockets)
        engine = Engine(door, self.id, heartbeat=HEARTBEAT, max_payload=FRAME_BYTES, group=self.group, elsewhere=elsewhere)
        listen = self.config.peer_listen
        if listen is not None:
            stack.push_async_callback(self._peers.close)
            callers, add = (
                callers_of(self.config.peers),
                partial(add_GatewayServiceServicer_to_server, PeerService(engine, self._recovery)),
            )
            serving = grpc_server.serve(self.config, listen, add, [SERVICE], callers=callers, max_concurrent=MOST_CALLS)
            port = await stack.enter_async_context(serving)
            self._lease.address = self.config.peer_address(port)
        return engine

    def _loops(self, following: asyncio.Event) -> list[Coroutine[None, None, None]]:
        loops: dict[str, Callable[[], Awaitable[None]]] = {
            "fanout": partial(self._fanout.run, following.set),
            "readiness": partial(
                readiness.watch,
                self.lifecycle,
                self.config,
                self._bus,
                self._clients.messages,
                epoch=self.hub.epoch,
                following=following,
            ),
            "publisher": self._publisher.run,
            "pending": self._pending.run,
            "reconcile": self._reconciler.run,
            "reconcile_periodically": self._reconciler.run_periodically,
            "revocations": self._revocations.run,
            "reload_sessions": self._revocations.reload,
            "revocation_follower": self._follower.follow,
            "lease": self._lease.run,
            "presence": self._presences.run,
            "counts": self._counts.run,
            "typing_send": self._typing.send,
            "typing_listen": self._typing.listen,
            "usage_send": self._usage.send,
            "usage_listen": self._usage.listen,
            "sweep": self.registry.sweep.run,
        }
        return [kept_running(name, loop) for name, loop in loops.items()]


async def main(config: Config, lifecycle: Lifecycle) -> None:
    """Run a gateway until the process is stopped."""
    listening = bind(config.listen)
    async with (
        open_bus(config.bus_url) as bus,
        open_signals(config.bus_url) as signals,
        open_gateway_leases(config.bus_url) as leases,
        connect(config) as clients,
        asyncio.TaskGroup() as group,
    ):
        gateway = Gateway(config, lifecycle, bus=bus, signals=signals, leases=leases, clients=clients, group=group)
        await gateway.serve(listening)


def _issuers(config: Config, dev_issuer: DevIssuer | None) -> dict[str, Issuer]:
    configured = [Issuer(each, public_only=config.production, longest_seconds=config.token_seconds) for each in config.issuers]
    return {issuer.name: issuer for issuer in (*configured, *((dev_issuer,) if dev_issuer else ()))}


def start() -> None:
    """Run the gateway process."""
    run(Config, main)
