"""Plays one scenario against one client, and judges.

| step | what happens |
|---|---|
| `connect` | the client is told to connect, with `tokens` (1), of which the first has `life` seconds (3,600) |
| `accept` | the next handshake is accepted and answered by `hello`; `token`: its number; `cut`: by half of it; |
| | other fields change the `hello` |
| `open` | `accept`, and the answer to the first `sync`, or to as many as name `positions`, or `all` |
| `refuse` | the next handshake is refused: `status`, `reason`, `retry_after` |
| `client` | waits for a frame with these fields; `save` names it: `$name.field` stands for its fields in later steps; |
| | `within`: for so many seconds; `token_number`: of the token in it |
| `maybe_client` | as `client`, but the frame may also be absent |
| `server` | sends this frame, or text |
| `event`, `events` | sends an event, `[channel, seq, text]` or with fields; or those from one number to another |
| `serve` | from now on, every `sync` on this connection is answered from the log |
| `snapshot` | the HTTP API shows these heads, also those that were not sent |
| `fragments` | sends this frame in 3 fragments |
| `cut` | sends half of this event and breaks the connection |
| `close`, `abort` | ends the connection with a code; without one |
| `tell` | a command to the client: `do` and its fields |
| `reports` | waits for these reports of the client, in order; `maybe_event` may be missing |
| `quiet` | for so many seconds the client neither connects, nor sends, nor reports |
| `soonest` | the next handshake or frame comes after so many seconds or more |
| `heads`, `epoch` | the log moves on while the client is away; the store begins a new epoch |
| `void` | this token is no longer valid |
| `silent` | pings are not answered |
| `pause` | the server is slow |
| `beats` | for so many seconds the client is never silent for two heartbeat intervals, of 1 s each |
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.conformance.check import Sender, Wrong, fits
from tests.conformance.lines import Adapter
from tests.conformance.reports import Reports
from tests.conformance.scenario import Scenario
from tests.conformance.server import Handshake, Line, Server, problem, token

PATIENCE_SECONDS = 20.0
"""For anything that the client must do: above its deadlines of 10 s and its first delays."""
_MAYBE_SECONDS = 0.5
_HEARTBEATS_SECONDS = 2.0
_IGNORED = frozenset({"read", "status", "watch", "typing"})
"""Frames that a client may send at any time."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one scenario showed."""

    scenario: Scenario
    wrong: str | None
    """What the client did wrong; None if it passed."""

    def __str__(self) -> str:
        if self.wrong is None:
            return f"pass  {self.scenario.name}"
        return f"FAIL  {self.scenario.name}: {self.wrong}\n      rule: {self.scenario.rule}"


async def play(scenario: Scenario, adapter: Adapter, patience_seconds: float = PATIENCE_SECONDS) -> Verdict:
    """Play the scenario with a new client of this adapter, which has so long for each thing that it must do."""
    server = Server(dict(scenario.channels))
    async with server.serving():
        player = _Player(scenario, server, adapter, patience_seconds)
        for number, (name, argument) in enumerate(scenario.steps, 1):
            try:
                await player.step(name, argument)
            except Wrong as wrong:
                await player.stop()
                return Verdict(scenario, f"step {number} ({name}): {wrong}{player.seen()}")
        try:
            await player.finish()
        except Wrong as wrong:
            return Verdict(scenario, f"at the end: {wrong}{player.seen()}")
    return Verdict(scenario, None)


class _Player:
    def __init__(self, scenario: Scenario, server: Server, adapter: Adapter, patience_seconds: float) -> None:
        self._patience = patience_seconds
        self._name = scenario.name
        self._server = server
        self._adapter = adapter
        self._reports = Reports(adapter.client(scenario.name), patience_seconds)
        self._sender = Sender()
        self._line: Line | None = None
        self._frames: dict[str, deque[dict[str, Any]]] = {}
        """Frames that no step has expected yet, by type."""
        self._saved: dict[str, Any] = {}
        self._tokens: list[str] = []
        self._soonest = 0.0
        self._serving: asyncio.Task[None] | None = None

    async def step(self, name: str, argument: Any) -> None:
        """Play one step. Raises Wrong."""
        method: Callable[[Any], Awaitable[None]] | None = getattr(self, f"_do_{name}", None)
        if method is None:
            raise ValueError(f"{self._name}: there is no step {name!r}")
        await method(self._filled(argument))

    async def finish(self) -> None:
        """End the client. Raises Wrong for what it did beyond the script."""
        await self.stop()
        await self._reports.closed()
        await self._drain()
        self._reports.nothing_more()
        if self._frames.get("send"):
            raise Wrong(f"it sent once more: {self._frames['send'][0]}")

    async def stop(self) -> None:
        """Tell the client to end. Raises Wrong for what it did while syncs were served."""
        if self._serving is not None:
            self._serving.cancel()
            await asyncio.wait([self._serving])
            if not self._serving.cancelled():
                self._serving.result()
        await self._adapter.tell(self._name, "close")

    def seen(self) -> str:
        """What the client did last."""
        return f"; the last it did: {' · '.join(self._reports.history)}" if self._reports.history else "; it did nothing"

    async def _do_connect(self, how: Any) -> None:
        options = how or {}
        count = options.get("tokens", 1)
        self._tokens = [token(number, options.get("life", 3_600) if number == 1 else 3_600) for number in range(1, count + 1)]
        await self._adapter.tell(self._name, "connect", url=self._server.url, user="me", tenant="kit", tokens=self._tokens)

    async def _do_accept(self, changes: Any) -> None:
        options = dict(changes or {})
        handshake = await self._handshake(options.pop("token", None))
        handshake.decision.set_result(None)
        self._line = await handshake.line
        if options.pop("cut", False):
            self._line.cut(self._server.hello(**options))
        else:
            await self._line.send(self._server.hello(**options))

    async def _do_open(self, how: Any) -> None:
        options = dict(how or {})
        positions = options.pop("positions", {})
        positions = dict(self._server.heads) if positions == "all" else positions
        await self._do_accept(options)
        missing = set(positions)
        while True:
            frame = await self._frame("sync", f"a `sync` of {', '.join(sorted(missing)[:3])}" if missing else "the first `sync`")
            self._check_positions(frame, positions)
            if not missing & frame["positions"].keys() and missing:
                raise Wrong(f"the `sync` does not name its position in {', '.join(sorted(missing)[:3])}: {str(frame)[:200]}")
            missing -= frame["positions"].keys()
            await self._synced(frame)
            if not missing:
                return

    def _check_positions(self, frame: Mapping[str, Any], positions: Mapping[str, int]) -> None:
        """Each position that the client names is the last number that it has."""
        for channel, seq in frame["positions"].items():
            wanted = positions.get(channel, self._server.heads.get(channel))
            if frame.get("epoch", self._server.epoch) == self._server.epoch and seq != wanted:
                raise Wrong(f"it asks for {channel} from {seq}, and its position is {wanted}")

    async def _synced(self, frame: Mapping[str, Any]) -> None:
        old = frame.get("epoch", self._server.epoch) != self._server.epoch
        status = "reset" if old else "complete"
        states = {channel: {"status": status, "seq": self._server.heads[channel]} for channel in frame["positions"]}
        await self._open_line.send({"type": "synced", "channels": states, **({"ref": frame["ref"]} if "ref" in frame else {})})

    async def _do_refuse(self, how: Mapping[str, Any]) -> None:
        handshake = await self._handshake(None)
        reason = how.get("reason", "UNAVAILABLE")
        handshake.decision.set_result(problem(how["status"], reason, how.get("retry_after")))

    async def _do_client(self, pattern: Any) -> None:
        wanted = dict(pattern)
        save = wanted.pop("save", None)
        number = wanted.pop("token_number", None)
        within = wanted.pop("within", None)
        frame = await self._frame(wanted["type"], f"the client to send {wanted}", within)
        if not fits(wanted, frame):
            raise Wrong(f"expected {wanted}, and it sent {frame}")
        if number is not None and self._server.credential(frame) != self._tokens[number - 1]:
            raise Wrong(f"expected token {number}, and it sent {frame}")
        if save is not None:
            self._saved[save] = frame

    async def _do_maybe_client(self, pattern: Any) -> None:
        await asyncio.sleep(_MAYBE_SECONDS)
        await self._drain()
        if self._frames.get(pattern["type"]):
            await self._do_client(pattern)

    async def _do_server(self, frame: Any) -> None:
        await self._open_line.send(frame)

    async def _do_event(self, what: Any) -> None:
        await self._open_line.send(self._event(what))

    async def _do_events(self, what: Any) -> None:
        channel, first, last = what
        for seq in range(first, last + 1):
            await self._open_line.send(self._server.event(channel, seq))

    async def _do_fragments(self, what: Any) -> None:
        await self._open_line.fragments(self._event(what), 3)

    async def _do_cut(self, what: Any) -> None:
        self._open_line.cut(self._event(what))

    async def _do_close(self, code: int) -> None:
        await self._open_line.close(code)

    async def _do_abort(self, _: Any) -> None:
        self._open_line.abort()

    async def _do_tell(self, command: Mapping[str, Any]) -> None:
        fields = dict(command)
        await self._adapter.tell(self._name, fields.pop("do"), **fields)

    async def _do_heads(self, heads: Mapping[str, int]) -> None:
        self._server.heads.update(heads)

    async def _do_snapshot(self, heads: Mapping[str, int]) -> None:
        self._server.snapshot.update(heads)

    async def _do_serve(self, _: Any) -> None:
        self._serving = asyncio.create_task(self._serve(self._open_line))

    async def _serve(self, line: Line) -> None:
        while (frame := await line.frames.get()) is not None:
            self._keep(frame)
            if frame["type"] == "sync":
                await self._synced(self._frames["sync"].popleft())
                for channel, seq in frame["positions"].items():
                    for event in self._server.after(channel, seq):
                        await line.send(event)

    async def _do_epoch(self, epoch: str) -> None:
        self._server.epoch = epoch

    async def _do_void(self, number: int) -> None:
        self._server.void.add(self._tokens[number - 1])

    async def _do_silent(self, _: Any) -> None:
        self._open_line.silent = True

    async def _do_pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def _do_soonest(self, seconds: float) -> None:
        self._soonest = time.monotonic() + seconds

    async def _do_beats(self, seconds: float) -> None:
        line, until = self._open_line, time.monotonic() + seconds
        while time.monotonic() < until:
            await asyncio.sleep(0.1)
            if time.monotonic() - line.heard > _HEARTBEATS_SECONDS:
                raise Wrong("there was no frame for two heartbeat intervals")

    async def _do_quiet(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        if not self._server.handshakes.empty():
            raise Wrong("it connected again")
        await self._drain()
        sent = next((queue[0] for queue in self._frames.values() if queue), None)
        if sent is not None:
            raise Wrong(f"it sent {sent}")
        self._reports.nothing_more()

    async def _do_reports(self, wanted: list[Mapping[str, Any]]) -> None:
        for each in wanted:
            ((kind, value),) = each.items()
            await self._reports.expect(kind, value, self._server.handshakes)

    def _event(self, what: Any) -> dict[str, Any]:
        if isinstance(what, Mapping):
            return self._server.event(**what)
        return self._server.event(*what)

    @property
    def _open_line(self) -> Line:
        if self._line is None:
            raise ValueError(f"{self._name}: there is no connection at this step")
        return self._line

    async def _handshake(self, number: int | None) -> Handshake:
        try:
            async with asyncio.timeout(self._patience):
                handshake = await self._reports.beside(self._server.handshakes)
        except TimeoutError:
            raise Wrong(f"expected it to connect within {self._patience:.0f} s") from None
        self._reports.history.append("connected")
        self._early()
        if number is not None and handshake.credential != self._tokens[number - 1]:
            raise Wrong(f"expected it to connect with token {number}, and it used another one")
        await self._drain()
        self._frames.clear()  # what was sent on the connection before is void
        return handshake

    async def _frame(self, kind: str, what: str, within: float | None = None) -> dict[str, Any]:
        """The first frame of this type that no step has taken yet."""
        seconds = within or self._patience
        try:
            async with asyncio.timeout(seconds):
                while not self._frames.get(kind):
                    frame = await self._reports.beside(self._open_line.frames)
                    if frame is None:
                        self._open_line.frames.put_nowait(None)
                        raise Wrong(f"expected {what}, and it closed the connection")
                    self._keep(frame)
        except TimeoutError:
            raise Wrong(f"expected {what} within {seconds:.0f} s") from None
        self._early()
        return self._frames[kind].popleft()

    def _keep(self, frame: Any) -> None:
        self._reports.history.append(f"sent {str(frame)[:200]}")
        self._sender.check(frame)
        if frame["type"] not in _IGNORED:
            self._frames.setdefault(frame["type"], deque()).append(frame)

    async def _drain(self) -> None:
        """Check all frames that have arrived."""
        while self._line is not None and not self._line.frames.empty():
            frame = self._line.frames.get_nowait()
            if frame is not None:
                self._keep(frame)

    def _early(self) -> None:
        early = self._soonest - time.monotonic()
        self._soonest = 0.0
        if early > 0:
            raise Wrong(f"it came {early:.2f} s before the time that the server named")

    def _filled(self, part: Any) -> Any:
        """Replace `$name.field` by the field of a saved frame."""
        match part:
            case dict():
                return {key: self._filled(item) for key, item in part.items()}
            case list():
                return [self._filled(item) for item in part]
            case str() if part.startswith("$"):
                name, field = part[1:].split(".")
                return self._saved[name].get(field)
            case _:
                return part
