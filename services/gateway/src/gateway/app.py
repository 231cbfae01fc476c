"""The composition root: builds the gateway's parts, runs them, and takes them down in order."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path

import structlog

from bus.connect import open_bus, open_signals
from chassis.lifecycle import Lifecycle, run
from gateway.admission import Admission
from gateway.auth import Authenticator
from gateway.clients import connect
from gateway.config import Config
from gateway.control import Control
from gateway.drain import drain
from gateway.http.api import Api
from gateway.http.routes import make_app
from gateway.inbound.attachments import Attachments
from gateway.inbound.dispatch import Dispatch
from gateway.inbound.pending import Pending
from gateway.inbound.publish import Publisher
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
from gateway.tickets import Tickets
from gateway.typists import Typists

log = structlog.get_logger()
EXPIRY_SECONDS = 0.5
"""How often commands that were awaited for too long are looked for."""


async def main(config: Config, lifecycle: Lifecycle) -> None:
    """Serve until told to stop, then drain."""
    async with (
        open_bus(config.bus_url) as bus,
        open_signals(config.bus_url) as signals,
        connect(config) as clients,
        asyncio.TaskGroup() as group,
    ):
        gateway = f"{secrets.token_hex(6)}"
        listening = bind(config.listen)
        roster = Roster(gateway, 2 * config.heartbeat_seconds)
        admission = Admission(clients.messages)
        control = Control(roster, roster.recent, admission, clients.messages)
        audit = Audit(roster.hub, clients.messages, config.bus_partitions, config.audit_seconds)
        opening = Opening(config, roster, roster.recent, Sessions(clients.messages, group), audit)
        Fills(roster.hub, clients.messages, group)
        catch_ups = CatchUps(roster.hub, roster.outbox, clients.messages, group, roster.close, SYNC_EVENTS)
        pending = Pending(roster.outbox, roster.connections)
        publisher = Publisher(bus, config.bus_partitions, pending)
        presences = Presences(roster.outbox, clients.presence, gateway)
        roster.on_open.append(lambda connection: presences.changed(connection, "online"))
        roster.on_end.append(presences.ended)
        typists = Typists(roster.hub, roster.outbox, signals, config.bus_partitions, lambda: roster.sweep.now)
        attachments = Attachments(roster.outbox, clients.media, group, roster.close)
        dispatch = Dispatch(roster.outbox, roster.close, pending, publisher, attachments, catch_ups, presences, typists, gateway)
        fanout = Fanout(bus, config.bus_partitions, gateway, roster.hub, roster.outbox, pending, control, audit, opening)
        dev_issuer = DevIssuer(dev_key(Path(config.dev_key_file))) if config.dev_login else None
        authenticator = Authenticator(_issuers(config, dev_issuer))
        tickets = Tickets(signals)
        upgrades = Upgrades(
            group, authenticator, tickets, opening, roster, dispatch.receive, config.allowed_origins,
            lifecycle.stopping.is_set,
        )  # fmt: skip
        api = Api(config, clients, authenticator, admission, tickets, dev_issuer, lambda: lifecycle.ready)
        server = make_server(make_app(api), upgrades.begin)

        running = [
            group.create_task(each)
            for each in (
                fanout.run(lambda: lifecycle.set_ready(True)),
                publisher.run(),
                audit.run(),
                audit.run_slowly(),
                control.run(),
                presences.run(),
                typists.send(),
                typists.listen(),
                roster.sweep.run(),
                _expire(pending),
            )
        ]
        serving = group.create_task(server.serve(sockets=[listening]))
        log.info("gateway_started", gateway=gateway, address=str(config.listen))
        await lifecycle.stopping.wait()
        await drain(roster, publisher, pending, config.drain_seconds)
        server.should_exit = True
        await serving
        for task in running:
            task.cancel()


def _issuers(config: Config, dev_issuer: DevIssuer | None) -> dict[str, Issuer]:
    configured = [Issuer(each, public_only=config.production) for each in config.issuers]
    return {issuer.name: issuer for issuer in (*configured, *((dev_issuer,) if dev_issuer else ()))}


async def _expire(pending: Pending) -> None:
    while True:
        await asyncio.sleep(EXPIRY_SECONDS)
        pending.expire()


def start() -> None:
    """Be a gateway."""
    run(Config, main)
