"""One attached gateway: renews its lease, applies its reports and maintains its watches. `service` owns the gRPC stream."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator

import structlog

from chassis.errors import HubbubError, InvalidArgument, Unavailable
from hubbub.presence.v1.presence_service_pb2 import AttachRequest
from presence import convert, metrics
from presence.latest import LatestPresences
from presence.leases import Leases
from presence.watch import Watch

MAX_WATCHED = 500_000
"""Users that one gateway may watch; bounds its queue. Gateways stay below it; here the surplus is ignored."""
_FIRST_MESSAGE_SECONDS = 10.0

_log = structlog.get_logger(__name__)


class Attachment:
    """A gateway's connection to this instance."""

    def __init__(self, leases: Leases, watch: Watch, stopping: asyncio.Event) -> None:
        self._leases = leases
        self._watch = watch
        self._stopping = stopping
        self._gateway = ""
        self._token = secrets.token_hex(8)
        """Identifies this attachment. Once the gateway attaches again, to any instance, reports with this token are refused."""
        self.latest = LatestPresences()
        """Presences to send to the gateway."""

    async def run(self, requests: AsyncIterator[AttachRequest]) -> HubbubError | None:
        """Run until the gateway leaves, and return None; or return the error for which it must attach again. Closes `latest`."""
        failure: HubbubError | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                background = [tasks.create_task(self._stop()), tasks.create_task(self._renew())]
                await self._read(requests)
                for task in background:
                    task.cancel()
        except* HubbubError as group:
            failure = next(error for error in group.exceptions if isinstance(error, HubbubError))
        finally:
            self._watch.remove(self.latest, list(self.latest.watched))
            self.latest.close()
        return failure

    async def _read(self, requests: AsyncIterator[AttachRequest]) -> None:
        try:
            async with asyncio.timeout(_FIRST_MESSAGE_SECONDS):
                first = await anext(requests)
        except (TimeoutError, StopAsyncIteration) as error:
            raise InvalidArgument("the first message did not arrive in time") from error
        gateway = convert.gateway_from(first)
        await self._leases.attach(gateway, self._token)
        self._gateway = gateway
        _log.info("gateway_attached", gateway=gateway)
        await self._apply(first)
        async for request in requests:
            if request.HasField("lease"):
                raise InvalidArgument("only the first message carries a lease")
            await self._apply(request)
        _log.info("gateway_detached", gateway=gateway)

    async def _apply(self, request: AttachRequest) -> None:
        changes = [convert.change_from(change) for change in request.changes]
        if changes:
            metrics.SHOWN.inc(await self._leases.report(self._gateway, self._token, changes))
            for change in changes:
                metrics.REPORTED.labels("went" if not change.status else "came").inc()
        self._watch.remove(self.latest, [convert.user_from(user) for user in request.unwatch])
        watch = list(dict.fromkeys(convert.user_from(user) for user in request.watch))
        added = [user for user in watch if user not in self.latest.watched]
        if surplus := added[max(0, MAX_WATCHED - len(self.latest.watched)) :]:
            metrics.REFUSED_WATCHES.inc(len(surplus))
            _log.warning("watches_refused", gateway=self._gateway, users=len(surplus))
            refused = set(surplus)
            watch = [user for user in watch if user not in refused]
        if watch:
            await self._watch.add(self.latest, watch)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._leases.renewal_seconds)
            if self._gateway:
                await self._leases.report(self._gateway, self._token, ())

    async def _stop(self) -> None:
        await self._stopping.wait()
        raise Unavailable("this instance is shutting down; attach to another one")
