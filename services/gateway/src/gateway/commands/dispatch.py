"""Handles each frame of a client: synchronously, from memory, without an RPC per message.

A command frame becomes a `Command` on the bus. The worker decides whether the user is allowed to, in the transaction that
writes. The gateway rejects only what no membership allows (shape, size, rate), because its own knowledge of memberships may be
a moment old.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias, get_args

from msgspec import UNSET

from chassis import blocks
from chassis.errors import HubbubError, NotFound, RateLimited, Unavailable
from chassis.ids import is_uuid
from gateway.commands.attachments import Attachments
from gateway.commands.pending import Pending
from gateway.commands.publisher import CommandPublisher
from gateway.commands.renewal import Renewals
from gateway.hub.catchup import CatchUps
from gateway.identity.permission import require
from gateway.metrics import COMMANDS, FRAMES_IN
from gateway.model import Connection
from gateway.protocol import incoming
from gateway.protocol.close_codes import Close
from gateway.protocol.incoming import COST_BYTES
from gateway.protocol.outgoing import Pong, Ref, encode, refusal
from gateway.rates.shared import SharedRates
from gateway.state.presence import Presences
from gateway.state.typing import TypingSignals
from gateway.wire.registry import Registry
from hubbub.events.v1.events_pb2 import (
    Attachment,
    Command,
    DeleteMessage,
    EditMessage,
    MarkRead,
    PinMessage,
    ReactToMessage,
)

Handler: TypeAlias = Callable[[Connection, Any], bool | None]
"""Returns False if it has refused the frame and answered that."""
OWN_KEY = "\x01"
"""Prefix of the keys that the gateway makes for commands without one. `protocol.incoming` rejects it in clients' keys."""
REFUSED_COST = 2.0
"""Of a frame that is answered with `INVALID_FRAME` or `TOO_LARGE`, besides its bytes."""
LISTED_PER_TOKEN = 50
"""Positions of a `sync`, or users that a `watch` adds, that cost one token more."""

_refused = COMMANDS.labels("refused")


class Dispatch:
    """The handler of each type of frame."""

    def __init__(
        self,
        registry: Registry,
        *,
        gateway: str,
        pending: Pending,
        publisher: CommandPublisher,
        attachments: Attachments,
        catch_ups: CatchUps,
        presences: Presences,
        typing: TypingSignals,
        renewals: Renewals,
        rates: SharedRates,
    ) -> None:
        self._writer = registry.writer
        self._close = registry.close
        self._pending = pending
        self._publisher = publisher
        self._attachments = attachments
        self._send_rates = rates.send
        """Charges the user and the tenant, over all connections."""
        self._gateway = gateway
        """Id of this process: outcomes are sent to it."""
        handlers: dict[type, Handler] = {
            incoming.Send: self._send,
            incoming.Edit: self._edit,
            incoming.Delete: self._delete,
            incoming.React: self._react,
            incoming.Pin: self._pin,
            incoming.Read: self._read,
            incoming.Sync: partial(self._sync, catch_ups),
            incoming.Typing: lambda connection, frame: typing.typed(connection, frame.channel),
            incoming.Watch: partial(self._watch, presences),
            incoming.Status: lambda connection, frame: presences.changed(connection, frame.status),
            incoming.Token: renewals.renew,
            incoming.Ping: self._ping,
        }
        self._handlers = {
            kind: (handlers[kind], FRAMES_IN.labels(kind.__name__.lower()), kind.cost) for kind in get_args(incoming.Frame)
        }
        self._wrong = FRAMES_IN.labels("wrong")

    def receive(self, connection: Connection, data: bytes) -> None:
        """Handle one text message, which is valid UTF-8 of at most `FRAME_BYTES`."""
        try:
            frame = incoming.decode(data)
        except incoming.Malformed:
            self._close(connection, Close.MALFORMED_FRAME)
            return
        except incoming.FrameRefused as refused:
            self.refuse(connection, refused, len(data))
        else:
            self.handle(connection, frame, len(data))

    def refuse(self, connection: Connection, refused: incoming.FrameRefused, size: int) -> None:
        """Answer a frame of `size` bytes that is wrong."""
        self._wrong.inc()
        if self._granted(connection, REFUSED_COST + size // COST_BYTES, refused.ref):
            self._writer.send_unheld(connection, refusal(refused.error, refused.ref))

    def handle(self, connection: Connection, frame: incoming.Frame, size: int) -> bool:
        """Handle a frame of `size` bytes; False if it was refused, which has been answered."""
        handler, counter, cost = self._handlers[type(frame)]
        counter.inc()
        if not self._granted(connection, cost + size // COST_BYTES, frame.ref):
            return False
        try:
            require(connection.identity, frame.scope)
            return handler(connection, frame) is not False
        except HubbubError as error:
            self._writer.send_unheld(connection, refusal(error, frame.ref))
            return False

    def _granted(self, connection: Connection, cost: float, ref: Ref) -> bool:
        wait = connection.bucket.take(cost)
        if connection.bucket.flooding:
            self._close(connection, Close.FLOODING)
            return False
        if wait:
            error = RateLimited("Sending faster than limits.sends_per_second", retry_after=round(wait + 0.001, 3))
            self._writer.send_unheld(connection, refusal(error, ref))
            return False
        try:
            self._send_rates(connection.account.tenant, connection.account.user, cost)
        except RateLimited as error:
            self._writer.send_unheld(connection, refusal(error, ref))
            return False
        return True

    # Commands.

    def _send(self, connection: Connection, frame: incoming.Send) -> None:
        command = self._command(connection, frame.channel, frame.key)
        if frame.text is not UNSET:
            command.post.text = frame.text
        if frame.sealed is not UNSET:
            command.post.sealed = frame.sealed
        if frame.thread is not None:
            command.post.thread = frame.thread
        if frame.mentions:
            command.post.mentions.extend(frame.mentions)
        if frame.blocks:  # most messages have none
            blocks.write(frame.blocks, command.post.blocks)
        sending = connection.sending
        if not frame.attachments and (sending is None or not sending.busy):
            self._publish(connection, command, frame.ref)
            return

        def publish(resolved: list[Attachment]) -> None:
            command.post.attachments.extend(resolved)
            self._publish(connection, command, frame.ref)

        self._attachments.resolve(connection, frame.channel, frame.attachments, frame.ref, publish)

    def _edit(self, connection: Connection, frame: incoming.Edit) -> None:
        edit = EditMessage(message=frame.message)
        if frame.text is not UNSET:
            edit.text = frame.text
        if frame.sealed is not UNSET:
            edit.sealed = frame.sealed
        if frame.blocks:
            blocks.write(frame.blocks, edit.blocks)
        self._publish(connection, self._command(connection, frame.channel, edit=edit), frame.ref)

    def _delete(self, connection: Connection, frame: incoming.Delete) -> None:
        delete = DeleteMessage(message=frame.message)
        self._publish(connection, self._command(connection, frame.channel, delete=delete), frame.ref)

    def _react(self, connection: Connection, frame: incoming.React) -> None:
        react = ReactToMessage(message=frame.message, emoji=frame.emoji, remove=frame.remove)
        self._publish(connection, self._command(connection, frame.channel, react=react), frame.ref)

    def _pin(self, connection: Connection, frame: incoming.Pin) -> None:
        pin = PinMessage(message=frame.message, remove=frame.remove)
        self._publish(connection, self._command(connection, frame.channel, pin=pin), frame.ref)

    def _read(self, connection: Connection, frame: incoming.Read) -> None:
        if frame.channel not in connection.account.channels:
            raise NotFound  # a read has no acknowledgement, so this is the only answer
        self._publisher.add(self._command(connection, frame.channel, read=MarkRead(seq=frame.seq)))

    def _command(self, connection: Connection, channel: str, key: str = "", **body: Any) -> Command:
        if channel not in connection.account.channels and not is_uuid(channel):
            raise NotFound  # another spelling of the id would reach another partition
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
        except (RateLimited, Unavailable) as error:
            self._pending.failed((command.id,), error)

    # State.

    def _sync(self, catch_ups: CatchUps, connection: Connection, frame: incoming.Sync) -> bool:
        granted = self._granted(connection, len(frame.positions) // LISTED_PER_TOKEN, frame.ref)
        if granted:
            catch_ups.sync(connection, frame.ref, frame.positions, None if frame.epoch is UNSET else frame.epoch)
        return granted

    def _watch(self, presences: Presences, connection: Connection, frame: incoming.Watch) -> bool:
        users = frozenset(frame.users)
        granted = self._granted(connection, len(users - connection.watched) // LISTED_PER_TOKEN, frame.ref)
        if granted:
            presences.watch(connection, users)
        return granted

    def _ping(self, connection: Connection, frame: incoming.Ping) -> None:
        self._writer.send_unheld(connection, encode(Pong(frame.ref)))
