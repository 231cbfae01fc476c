"""Leases webhooks that are due, sends the first delivery of each of their channels, and records what came of it.

A webhook is leased by one process at a time, so its channels keep their order and its endpoint sees a bounded number of requests.
Webhooks do not wait for each other. After `kill -9` the lease ends by itself and the attempts are repeated: at least once.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Sequence

import structlog

from chassis.backoff import Backoff
from chassis.errors import HubbubError
from chassis.metrics import DEFECTS
from chassis.postgres import EVERY_TENANT, Database
from integrations import attempts, signing
from integrations.endpoint import Endpoints
from integrations.metrics import ATTEMPT_SECONDS, ATTEMPTS, DISABLED
from integrations.signing import UnreadableSecretError, Vault
from integrations.webhook import Head, Lease, Outcome, Target

log = structlog.get_logger()
WEBHOOKS_AT_ONCE = 500
"""Leases of a process. So many endpoints can stall at one time before others wait."""
REQUESTS_AT_ONCE = 4
"""To one webhook."""
_ROUNDS = 50
"""Of a lease; then a webhook that is still due lines up again."""
_LOOK_SECONDS = 0.5
"""Between two looks for webhooks that are due, unless this process is woken."""


class Deliverer:
    """Makes the attempts of one process."""

    def __init__(self, database: Database, endpoints: Endpoints, vault: Vault, drain_seconds: float) -> None:
        self._database = database
        self._endpoints = endpoints
        self._vault = vault
        self._drain_seconds = drain_seconds
        self._holder = str(uuid.uuid4())
        """Of this process's leases."""
        self._leased: set[str] = set()
        """Webhooks whose turn has not ended."""
        self._changed = asyncio.Event()

    def wake(self) -> None:
        """Look for webhooks that are due, because one may be."""
        self._changed.set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Make attempts until stopping; those under way then have the drain time to end."""
        keeping = asyncio.create_task(self._keep_leases())
        try:
            await self._work(stopping)
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
        await self._release_all()

    async def _work(self, stopping: asyncio.Event) -> None:
        backoff = Backoff()
        async with asyncio.TaskGroup() as turns:
            tasks: set[asyncio.Task[None]] = set()
            while not stopping.is_set():
                try:
                    for held in await self._lease():
                        task = turns.create_task(self._turn(held, stopping))
                        tasks.add(task)
                        task.add_done_callback(tasks.discard)
                    backoff.succeeded()
                except HubbubError as error:
                    log.warning("webhooks_not_leased", reason=error.reason)
                    await backoff.wait()
                await self._until_changed(stopping)
            if tasks:
                _, late = await asyncio.wait(tasks, timeout=self._drain_seconds)
                for task in late:
                    task.cancel()

    async def _lease(self) -> list[Lease]:
        self._changed.clear()
        room = WEBHOOKS_AT_ONCE - len(self._leased)
        if room == 0:
            return []
        async with self._database.connection(EVERY_TENANT) as connection:
            leases = await attempts.lease(connection, self._holder, room)
        self._leased |= {held.webhook for held in leases}
        return leases

    async def _keep_leases(self) -> None:
        """Extend this process's leases until cancelled."""
        while True:
            await asyncio.sleep(attempts.EXTEND_SECONDS)
            try:
                async with self._database.connection(EVERY_TENANT) as connection:
                    await attempts.extend_all(connection, self._holder)
            except HubbubError as error:
                log.warning("webhook_leases_not_extended", reason=error.reason)

    async def _until_changed(self, stopping: asyncio.Event) -> None:
        waits = [asyncio.ensure_future(event.wait()) for event in (self._changed, stopping)]
        try:
            await asyncio.wait(waits, timeout=_LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _turn(self, held: Lease, stopping: asyncio.Event) -> None:
        """Attempt what is due of one webhook, and end its lease. After a failure the lease ends by itself."""
        try:
            for _ in range(_ROUNDS):
                if stopping.is_set() or not await self._round(held):
                    break
            async with self._database.connection([held.tenant]) as connection:
                await attempts.release(connection, held)
        except UnreadableSecretError:
            log.error(  # noqa: TRY400 - the trace says no more
                "webhook_secret_unreadable", tenant=held.tenant, webhook=held.webhook
            )
        except HubbubError as error:
            log.warning("webhook_turn_failed", webhook=held.webhook, reason=error.reason)
        except Exception as error:  # the outermost handler of this webhook: others go on
            DEFECTS.labels("webhooks").inc()
            log.exception("webhook_turn_failed", webhook=held.webhook, error=type(error).__name__)
        finally:
            self._leased.discard(held.webhook)
            self._changed.set()

    async def _round(self, held: Lease) -> bool:
        """Attempt the first due deliveries of several channels; returns whether more may be due."""
        async with self._database.connection([held.tenant]) as connection:
            begun = await attempts.begin(connection, held, REQUESTS_AT_ONCE)
        if begun is None:
            return False
        target, heads = begun
        if not heads:
            return False
        secrets = [self._vault.open(secret) for secret in target.secrets]
        outcomes = await asyncio.gather(*(self._attempt(target, secrets, head) for head in heads))
        async with self._database.transaction([held.tenant]) as connection:
            reason = await attempts.record(connection, held, list(zip(heads, outcomes, strict=True)))
        if reason:
            DISABLED.labels(reason.value).inc()
            log.warning("webhook_disabled", tenant=held.tenant, webhook=held.webhook, why=reason.value)
        return reason is None

    async def _attempt(self, target: Target, secrets: Sequence[bytes], head: Head) -> Outcome:
        headers = signing.headers(head.id, int(time.time()), head.body, secrets)
        with ATTEMPT_SECONDS.time():
            outcome = await self._endpoints.post(target.url, headers, head.body)
        ATTEMPTS.labels(outcome.ending.value).inc()
        return outcome

    async def _release_all(self) -> None:
        try:
            async with self._database.connection(EVERY_TENANT) as connection:
                await attempts.release_all(connection, self._holder)
        except HubbubError as error:
            log.warning("webhooks_not_released", reason=error.reason)
