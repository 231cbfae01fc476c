"""Typed functions over `queries`, for leasing webhooks and recording attempts. The caller owns connection and transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chassis.postgres import Connection
from integrations import audit, queries, schedule
from integrations.audit import Action
from integrations.webhook import DeliveryState, Ending, Head, Lease, Outcome, Reason, Target, WebhookState

LEASE_SECONDS = 6.0
"""A process that works extends its leases in time."""
EXTEND_SECONDS = 2.0


async def lease(connection: Connection, holder: str, limit: int) -> list[Lease]:
    """Lease webhooks that are due, the longest due first. Needs access to every tenant."""
    parameters = {"lease": holder, "seconds": LEASE_SECONDS, "limit": limit}
    rows: list[Any] = await (await connection.execute(queries.LEASE, parameters)).fetchall()
    return [Lease(holder, tenant, webhook) for tenant, webhook in rows]


async def extend_all(connection: Connection, holder: str) -> None:
    """Extend all leases of a holder. Needs access to every tenant."""
    await connection.execute(queries.EXTEND_ALL, {"lease": holder, "seconds": LEASE_SECONDS})


async def release_all(connection: Connection, holder: str) -> None:
    """End all leases of a holder. Needs access to every tenant."""
    await connection.execute(queries.RELEASE_ALL, {"lease": holder})


async def begin(connection: Connection, held: Lease, limit: int) -> tuple[Target, list[Head]] | None:
    """Where to send and what: one delivery at a time while the webhook fails, otherwise up to `limit`.

    None if the lease was lost, or the webhook disabled.
    """
    row: Any = await (await connection.execute(queries.TARGET, {"webhook": held.webhook, "lease": held.id})).fetchone()
    if row is None:
        return None
    url, secret, previous, failing_since = row
    target = Target(url, [secret, previous] if previous else [secret], failing_since)
    found = await connection.execute(queries.HEADS, {"webhook": held.webhook, "limit": 1 if failing_since else limit})
    heads: list[Any] = await found.fetchall()
    return target, [Head(*head) for head in heads]


async def record(connection: Connection, held: Lease, outcomes: Sequence[tuple[Head, Outcome]]) -> Reason | None:
    """Record a round of attempts. Needs a transaction. Returns why the webhook is disabled, if these attempts disable it.

    Records nothing after the lease was lost: another process attempts the same deliveries, and records what came of it.
    """
    row: Any = await (await connection.execute(queries.LOCK_LEASED, {"webhook": held.webhook, "lease": held.id})).fetchone()
    if row is None:
        return None
    totals = {"delivered": 0, "died": 0, "bytes": 0}
    finished: list[str] = []
    for head, outcome in outcomes:
        state = _state(head, outcome)
        values = {"id": head.id, "status": outcome.status, "outcome": outcome.ending.value, "answer": outcome.answer}
        if state is DeliveryState.WAITING:
            wait = schedule.wait_seconds(head.attempts + 1, outcome)
            await connection.execute(queries.RETRY, {**values, "wait": wait})
            continue
        found: Any = await (await connection.execute(queries.FINISH, {**values, "state": state})).fetchone()
        if found is None:
            continue
        finished.append(head.channel)
        totals["died" if state is DeliveryState.DEAD else "delivered"] += 1
        totals["bytes"] += found[0] if state is DeliveryState.DELIVERED else 0
    if finished:
        await connection.execute(queries.PROMOTE, {"webhooks": [held.webhook] * len(finished), "channels": finished})
    succeeded = any(outcome.ending is Ending.DELIVERED for _, outcome in outcomes)
    reason = _verdict([outcome for _, outcome in outcomes], row[0] or 0.0, succeeded=succeeded)
    state_now = WebhookState.DISABLED if reason else None
    settled = {"webhook": held.webhook, "failing": not succeeded, "state": state_now, "reason": reason, **totals}
    await connection.execute(queries.SETTLE, settled)
    if reason:
        await audit.append(connection, held.tenant, audit.SERVICE, Action.WEBHOOK_DISABLED, held.webhook, reason=reason)
    return reason


async def release(connection: Connection, held: Lease) -> None:
    """End the lease; the webhook is due with its earliest delivery."""
    await connection.execute(queries.RELEASE, {"webhook": held.webhook, "lease": held.id})


def _state(head: Head, outcome: Outcome) -> DeliveryState:
    if outcome.ending is Ending.DELIVERED:
        return DeliveryState.DELIVERED
    return DeliveryState.DEAD if schedule.is_over(head.age_seconds) else DeliveryState.WAITING


def _verdict(outcomes: Sequence[Outcome], failing_seconds: float, *, succeeded: bool) -> Reason | None:
    if any(outcome.ending is Ending.GONE for outcome in outcomes):
        return Reason.GONE
    return Reason.FAILING if failing_seconds >= schedule.FAILING_SECONDS and not succeeded else None
