"""The record of what administrators and the service did to webhooks, commands and action endpoints.

The caller owns connection and transaction.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from chassis.postgres import Connection
from integrations import queries
from integrations.webhook import Reason

SERVICE = ""
"""The actor of what the service does by itself."""


class Action(StrEnum):
    """What was done."""

    WEBHOOK_CREATED = "webhook.created"
    WEBHOOK_CHANGED = "webhook.changed"
    WEBHOOK_ENABLED = "webhook.enabled"
    WEBHOOK_DISABLED = "webhook.disabled"
    WEBHOOK_SUSPENDED = "webhook.suspended"
    WEBHOOK_DELETED = "webhook.deleted"
    SECRET_ROTATED = "webhook.secret_rotated"  # noqa: S105 - no password
    RESENT = "webhook.resent"
    COMMAND_CREATED = "command.created"
    COMMAND_DELETED = "command.deleted"
    ACTION_ENDPOINT_CREATED = "action_endpoint.created"
    ACTION_ENDPOINT_DELETED = "action_endpoint.deleted"


class Record(msgspec.Struct, frozen=True):
    """One action."""

    number: int
    at: datetime
    actor: str
    action: str
    subject: str
    reason: str


async def append(
    connection: Connection, tenant: str, actor: str, action: Action, *subjects: str, reason: Reason = Reason.NONE
) -> None:
    """Add a record for each subject, in the caller's transaction."""
    values = {"tenant": tenant, "actor": actor, "action": action, "subjects": list(subjects), "reason": reason}
    await connection.execute(queries.RECORD, values)


async def listed(connection: Connection, tenant: str, after: int, limit: int) -> list[Record]:
    """A tenant's records with a number above `after`, oldest first."""
    found = await connection.execute(queries.LIST_AUDIT, {"tenant": tenant, "after": after, "limit": limit})
    rows: list[Any] = await found.fetchall()
    return [Record(*row) for row in rows]
