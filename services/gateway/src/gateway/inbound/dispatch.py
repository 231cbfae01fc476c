"""Does what a frame asks for: synchronously, from memory, without a call per message.

Commands become one `Command` each in the tick's batch; whether the user may is judged by the worker, in the transaction that
writes. The gateway itself refuses only what no membership could allow (shape, size, pace): its memory of memberships may be a
moment behind a change made through another door, and a "no" that is no longer true would be a wrong answer.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from chassis.errors import HubbubError, NotFound, RateLimited, TooLarge, Unavailable
from chassis.ids import is_uuid
from gateway.inbound import frames, reading
from gateway.inbound.attachments import Attachments
from gateway.inbound.pending import Pending
from gateway.inbound.publish import Publisher
from gateway.metrics import COMMANDS, FRAMES_IN
from gateway.outbound.catchup import CatchUps
from gateway.outbound.frames import Pong, Ref, encode, refusal
from gateway.outbound.outbox import Outbox
from hubbub.events.v1.events_pb2 import (
    Attachment,
    Command,
    DeleteMessage,
    EditMessage,
    MarkRead,
    PinMessage,
    ReactToMessage,
)

if TYPE_CHECKING:
    from gateway.allowance import Allowance
    from gateway.connection import Connection
    from gateway.inbound.renewal import Renewals
    from gateway.presence import Presences
    from gateway.typists import Typists

Handler: TypeAlias = Callable[["Connection", Any], None]
FLOODING = 4004
MALFORMED = 4502
WATCHED_USERS = 1_000
OWN_KEY = "\x01"
"""Keys of commands that have none of the client's begin with this; `reading` refuses it in a client's key."""
_COST: dict[type, float] = {frames.Ping: 0.2, frames.Typing: 0.2, frames.Status: 0.5, frames.Token: 5.0}
"""What a frame costs where it is not one; checking a signature is dear."""

_refused = COMMANDS.labels("refused")


class Dispatch:
    """What each type of frame does."""

    def __init__(
        self,
        outbox: Outbox,
        close: Callable[[Connection, int], None],
        *,
        gateway: str,
        pending: Pending,
        publisher: Publisher,
        attachments: Attachments,
        catch_ups: CatchUps,
        presences: Presences,
        typists: Typists,
        renewals: Renewals,
        sends: Allowance,
    ) -> None:
        self._outbox = outbox
        self._close = close
        self._pending = pending
        self._publisher = publisher
        self._attachments = attachments
        self._sends = sends
        """What users may send over all their sockets."""
        self._gateway = gateway
        """This incarnation: where outcomes are to be sent."""
        handlers: dict[type, Handler] = {
            frames.Send: self._send,
            frames.Edit: self._edit,
            frames.Delete: self._delete,
            frames.React: self._react,
            frames.Pin: self._pin,
            frames.Read: self._read,
            frames.Sync: lambda connection, sync: catch_ups.sync(connection, sync.ref, sync.positions),
            frames.Typing: lambda connection, typing: typists.typed(connection, typing.channel),
            frames.Watch: partial(self._watch, presences),
            frames.Status: lambda connection, status: presences.changed(connection, status.status),
            frames.Token: renewals.renew,
            frames.Ping: self._ping,
        }
        self._handlers = {
            kind: (handler, FRAMES_IN.labels(kind.__name__.lower()), _COST.get(kind, 1.0)) for kind, handler in handlers.items()
        }
        self._wrong = FRAMES_IN.labels("wrong")

    def receive(self, connection: Connection, data: bytes) -> None:
        """Handle one text message, which is UTF-8 and within the frame's bound."""
        try:
            frame = reading.decode(data)
        except reading.Malformed:
            self._close(connection, MALFORMED)
            return
        except reading.FrameRefused as refused:
            self._wrong.inc()
            if self._granted(connection, 1.0, refused.ref):
                self._outbox.send(connection, refusal(refused.error, refused.ref))
            return
        handler, counter, cost = self._handlers[type(frame)]
        counter.inc()
        if not self._granted(connection, cost, frame.ref):
            return
        try:
            handler(connection, frame)
        except HubbubError as error:
            self._outbox.send(connection, refusal(error, frame.ref))

    def _granted(self, connection: Connection, cost: float, ref: Ref) -> bool:
        wait = connection.bucket.take(cost)
        if connection.bucket.flooding:
            self._close(connection, FLOODING)
            return False
        if wait:
            error = RateLimited("Sending faster than limits.sends_per_second", retry_after=round(wait + 0.001, 3))
            self._outbox.send(connection, refusal(error, ref))
            return False
        try:
            self._sends.take(connection.account.tenant, connection.account.user, cost=cost)
        except RateLimited as error:
            self._outbox.send(connection, refusal(error, ref))
            return False
        return True

    # Commands.

    def _send(self, connection: Connection, frame: frames.Send) -> None:
        command = self._command(connection, frame.channel, frame.key)
        command.post.text = frame.text
        if frame.thread is not None:
            command.post.thread = frame.thread
        if frame.mentions:
            command.post.mentions.extend(frame.mentions)
        sending = connection.sending
        if not frame.attachments and (sending is None or not sending.busy):
            self._publish(connection, command, frame.ref)
            return

        def publish(resolved: list[Attachment]) -> None:
            command.post.attachments.extend(resolved)
            self._publish(connection, command, frame.ref)

        self._attachments.resolve(connection, frame.channel, frame.attachments, frame.ref, publish)

    def _edit(self, connection: Connection, frame: frames.Edit) -> None:
        edit = EditMessage(message=frame.message, text=frame.text)
        self._publish(connection, self._command(connection, frame.channel, edit=edit), frame.ref)

    def _delete(self, connection: Connection, frame: frames.Delete) -> None:
        delete = DeleteMessage(message=frame.message)
        self._publish(connection, self._command(connection, frame.channel, delete=delete), frame.ref)

    def _react(self, connection: Connection, frame: frames.React) -> None:
        react = ReactToMessage(message=frame.message, emoji=frame.emoji, remove=frame.remove)
        self._publish(connection, self._command(connection, frame.channel, react=react), frame.ref)

    def _pin(self, connection: Connection, frame: frames.Pin) -> None:
        pin = PinMessage(message=frame.message, remove=frame.remove)
        self._publish(connection, self._command(connection, frame.channel, pin=pin), frame.ref)

    def _read(self, connection: Connection, frame: frames.Read) -> None:
        if frame.channel not in connection.account.channels:
            raise NotFound  # nobody answers it later: it is state, and has no acknowledgement
        self._publisher.add(self._command(connection, frame.channel, read=MarkRead(seq=frame.seq)))

    def _command(self, connection: Connection, channel: str, key: str = "", **body: Any) -> Command:
        if channel not in connection.account.channels and not is_uuid(channel):
            raise NotFound  # and it must not reach another partition under another spelling
        connection.commands += 1
        identity = connection.identity
        command = Command(**body)
        command.tenant, command.channel, command.actor = identity.tenant, channel, identity.user
        command.id = command_id = f"{connection.id}.{connection.commands}"
        command.key = key or OWN_KEY + command_id
        command.gateway, command.token_issued_at = self._gateway, identity.issued_at
        return command

    def _publish(self, connection: Connection, command: Command, ref: Ref) -> None:
        self._pending.add(command.id, connection, ref)
        try:
            self._publisher.add(command)
        except Unavailable as error:
            self._pending.failed((command.id,), error)

    # State.

    def _watch(self, presences: Presences, connection: Connection, frame: frames.Watch) -> None:
        users = frozenset(frame.users)
        if len(users) > WATCHED_USERS:
            raise TooLarge(f"At most {WATCHED_USERS} users are watched")
        presences.watch(connection, users)

    def _ping(self, connection: Connection, frame: frames.Ping) -> None:
        self._outbox.send(connection, encode(Pong(frame.ref)))
