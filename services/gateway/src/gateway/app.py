"""The composition root: builds the gateway's parts, runs them, and takes them down in order."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from pathlib import Path

import structlog

from bus.bus import Bus
from bus.connect import open_bus, open_signals
from bus.gateway_leases import GatewayLeases, open_gateway_leases
from bus.signals import Signals
from chassis.lifecycle import Lifecycle, run
from gateway import compiled, readiness
from gateway.admission import Admission
from gateway.allowance import Allowances, Sharing
from gateway.auth import Authenticator
from gateway.clients import Clients, connect
from gateway.config import Config
from gateway.contain import kept_going
from gateway.control import Control
from gateway.decisions import Decisions
from gateway.drain import drain
from gateway.http.api import Api
from gateway.http.routes import make_app
from gateway.http.signin import make_sign_in
from gateway.inbound.attachments import Attachments
from gateway.inbound.dispatch import Dispatch
from gateway.inbound.pending import Pending
from gateway.inbound.publish import Publisher
from gateway.inbound.renewal import Renewals
from gateway.inbound.upgrade import Upgrades
from gateway.issuers import DevIssuer, Issuer, dev_key
from gateway.opening import SYNC_EVENTS, Opening
from gateway.outbound.audit import Audit
from gateway.outbound.catchup import CatchUps
from gateway.outbound.fanout import Fanout
from gateway.outbound.fill import Fills
from gateway.presence import Presences
from gateway.roster import Roster
from gateway.server import bind, make_server
from gateway.session import Sessions
from gateway.tenure import Tenure
from gateway.tickets import Tickets
from gateway.typists import Typists
from sendmany import NATIVE

log = structlog.get_logger()


class Gateway:
    """One incarnation of the gateway and all its parts; `group` owns their tasks."""

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
        """Unique per start: replies to another incarnation's commands are not ours."""
        self.config, self.lifecycle, self.group = config, lifecycle, group
        self._bus, self._clients = bus, clients
        self._tenure = tenure = Tenure(leases, bus, self.id)
        self.roster = roster = Roster(self.id, 2 * config.heartbeat_seconds, lambda: tenure.cut_off)
        messages = clients.messages

        self._dev_issuer = DevIssuer(dev_key(Path(config.dev_key_file))) if config.dev_login else None
        self._authenticator = Authenticator(_issuers(config, self._dev_issuer))
        self._allowances = Allowances.of(config)
        self._tickets = Tickets(signals)
        self._sharing = Sharing(self._allowances.kinds, signals, self.id)
        self._admission = Admission(messages, cut_off=lambda: tenure.cut_off)
        self._control = Control(roster, self._admission, messages, tenure)
        roster.outbox.on_held = self._control.held
        self._decisions = Decisions(bus, leases, tenure, self._control, self.id)
        self._audit = Audit(roster.hub, messages, config.bus_partitions, config.audit_seconds)
        self._pending = Pending(roster.outbox, roster.connections)
        self._fills = Fills(roster.hub, messages, self._pending.stored, group)
        self._catch_ups = CatchUps(roster.hub, roster.outbox, messages, group=group, close=roster.close, sync_events=SYNC_EVENTS)
        self._opening = Opening(config, roster, sessions=Sessions(messages, group), audit=self._audit, control=self._control)
        self._publisher = Publisher(bus, config.bus_partitions, self._pending, lambda: tenure.cut_off)
        self._presences = Presences(roster.outbox, clients.presence, self.id)
        roster.on_open.append(self._presences.opened)
        roster.on_end.append(self._presences.ended)
        self._typists = Typists(roster.hub, roster.outbox, signals, config.bus_partitions, lambda: roster.sweep.now)
        self._dispatch = Dispatch(
            roster.outbox,
            roster.close,
            gateway=self.id,
            pending=self._pending,
            publisher=self._publisher,
            attachments=Attachments(roster.outbox, clients.media, group, roster.close),
            catch_ups=self._catch_ups,
            presences=self._presences,
            typists=self._typists,
            sends=self._allowances.sends,
            renewals=Renewals(
                roster.outbox,
                roster.sweep,
                authenticator=self._authenticator,
                tickets=self._tickets,
                admission=self._admission,
                group=group,
            ),
        )

    async def serve(self, listening: socket.socket) -> None:
        """Serve on a socket until the process is to stop, then drain."""
        following = asyncio.Event()
        running = [self.group.create_task(each) for each in self._loops(following)]
        upgrades = Upgrades(
            self.roster,
            self._opening,
            group=self.group,
            authenticator=self._authenticator,
            tickets=self._tickets,
            allowances=self._allowances,
            receive=self._dispatch.receive,
            allowed_origins=self.config.allowed_origins,
            accepting=lambda: following.is_set() and not self.lifecycle.stopping.is_set(),  # why: see `outbound.hub`
        )
        api = Api(
            config=self.config,
            clients=self._clients,
            authenticator=self._authenticator,
            admission=self._admission,
            allowances=self._allowances,
            tickets=self._tickets,
            dev_issuer=self._dev_issuer,
            sign_in=make_sign_in(self.config),
            ready=lambda: self.lifecycle.ready,
        )
        server = make_server(make_app(api), upgrades.begin)
        serving = self.group.create_task(server.serve(sockets=[listening]))
        native = {"compiled": compiled.used(), "compiled_sends": NATIVE}
        log.info("gateway_started", gateway=self.id, address=str(self.config.listen), **native)
        await self.lifecycle.stopping.wait()
        await drain(self.roster, self._publisher, self._pending, self.config.drain_seconds)
        server.should_exit = True
        await serving
        for task in running:
            task.cancel()
        await self._tenure.leave()

    def _loops(self, following: asyncio.Event) -> list[Coroutine[None, None, None]]:
        fanout = Fanout(
            self._bus,
            self.id,
            partitions=self.config.bus_partitions,
            hub=self.roster.hub,
            outbox=self.roster.outbox,
            pending=self._pending,
            user_control=self._control,
            audit=self._audit,
            opening=self._opening,
        )
        loops: dict[str, Callable[[], Awaitable[None]]] = {
            "fanout": partial(fanout.run, following.set),
            "readiness": partial(readiness.watch, self.lifecycle, self._bus, self._clients.messages, following),
            "publisher": self._publisher.run,
            "pending": self._pending.run,
            "audit": self._audit.run,
            "audit_round": self._audit.run_slowly,
            "control": self._control.run,
            "decisions": self._decisions.follow,
            "tenure": self._tenure.run,
            "presence": self._presences.run,
            "typing_sent": self._typists.send,
            "typing_heard": self._typists.listen,
            "spending_told": self._sharing.tell,
            "spending_heard": self._sharing.listen,
            "sweep": self.roster.sweep.run,
        }
        return [kept_going(name, loop) for name, loop in loops.items()]


async def main(config: Config, lifecycle: Lifecycle) -> None:
    """Open what a gateway uses, and be one until told to stop."""
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
    configured = [Issuer(each, public_only=config.production) for each in config.issuers]
    return {issuer.name: issuer for issuer in (*configured, *((dev_issuer,) if dev_issuer else ()))}


def start() -> None:
    """Be a gateway."""
    run(Config, main)
