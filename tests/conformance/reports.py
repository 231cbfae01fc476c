"""What the client under test reports: kept until a step of the script expects it, and checked for order at once."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from tests.conformance.check import Wrong, fits
from tests.conformance.lines import Report

T = TypeVar("T")
LOG = frozenset({"event", "reset", "left"})
"""Reports whose order counts."""
_ANSWERS = {"acked": ("as", "seq"), "refused": ("as", "reason"), "ended": ("code",), "closed": ()}
"""The other reports, with the fields that a script names."""
_HISTORY = 8


class Reports:
    """The reports of one client. Every method raises Wrong if the client did not do what it must, or did more."""

    def __init__(self, incoming: "asyncio.Queue[Report | None]", patience_seconds: float) -> None:
        self._incoming = incoming
        self._patience = patience_seconds
        self._log: deque[Report] = deque()
        self._others: list[Report] = []
        self._maybe: Report | None = None
        """A report that may come before the next one that must."""
        self._positions: dict[Any, Any] = {}
        """The last number reported of each channel."""
        self.history: deque[str] = deque(maxlen=_HISTORY)
        """What the client did last, in words; the player adds to it."""

    async def expect(self, kind: str, value: Any, connected: "asyncio.Queue[T]") -> None:
        """Wait for a report. `connected` tells of new connections, which must not come before `ended`."""
        fields = value if isinstance(value, list) else [value]
        if kind in LOG or kind == "maybe_event":
            wanted = {"report": kind.removeprefix("maybe_"), **dict(zip(("channel", "seq", "text"), fields, strict=False))}
            if kind == "maybe_event":
                self._maybe = wanted
            else:
                await self._expect_next(wanted)
        else:
            wanted = {"report": kind, **dict(zip(_ANSWERS[kind], fields, strict=False))}
            await self._expect_answer(wanted, connected)

    async def beside(self, queue: "asyncio.Queue[T]") -> T:
        """Take the next item of another queue, and meanwhile every report: it may show what is wrong."""
        item, report = asyncio.create_task(queue.get()), asyncio.create_task(self._incoming.get())
        try:
            while not item.done():
                await asyncio.wait((item, report), return_when=asyncio.FIRST_COMPLETED)
                if report.done():
                    self._arrived(report.result())
                    report = asyncio.create_task(self._incoming.get())
            return item.result()
        finally:
            item.cancel()
            if not report.cancel():
                self._arrived(report.result())

    async def closed(self) -> None:
        """Wait for the answer to `close`."""
        await self._expect_answer({"report": "closed"}, asyncio.Queue())

    def nothing_more(self) -> None:
        """Check that every report was expected."""
        while not self._incoming.empty():
            self._arrived(self._incoming.get_nowait())
        told = next(iter((*self._log, *self._others)), None)
        if told is not None:
            raise Wrong(f"it reported {_told(told)}")

    async def _expect_next(self, wanted: Report) -> None:
        while True:
            while not self._log:
                await self._one_more(wanted)
            first = self._log.popleft()
            if _is(wanted, first):
                self._maybe = None
                return
            if self._maybe is None or not _is(self._maybe, first):
                raise Wrong(f"expected the report {_told(wanted)}, and it reported {_told(first)}")
            self._maybe = None

    async def _expect_answer(self, wanted: Report, connected: "asyncio.Queue[Any]") -> None:
        if "as" in wanted:
            found = await self._take(wanted, lambda report: report.get("as") == wanted["as"])
        elif wanted["report"] == "ended":
            found = await self._ended(wanted, connected)
        else:
            found = await self._take(wanted, lambda report: report["report"] == wanted["report"])
        known = {name: item for name, item in wanted.items() if name != "seq" or "seq" in found}
        if not fits(known, found):
            raise Wrong(f"expected the report {_told(wanted)}, and it reported {_told(found)}")

    async def _ended(self, wanted: Report, connected: "asyncio.Queue[Any]") -> Report:
        ended = asyncio.create_task(self._take(wanted, lambda report: report["report"] == "ended"))
        again = asyncio.create_task(connected.get())
        await asyncio.wait((ended, again), return_when=asyncio.FIRST_COMPLETED)
        if not again.cancel():
            ended.cancel()
            raise Wrong(f"expected the report {_told(wanted)}, and it connected again")
        return await ended

    async def _take(self, wanted: Report, about: Callable[[Report], bool]) -> Report:
        while (found := next((report for report in self._others if about(report)), None)) is None:
            await self._one_more(wanted)
        self._others.remove(found)
        return found

    async def _one_more(self, wanted: Report) -> None:
        try:
            async with asyncio.timeout(self._patience):
                report = await self._incoming.get()
        except TimeoutError:
            raise Wrong(f"expected the report {_told(wanted)} within {self._patience:.0f} s") from None
        self._arrived(report)

    def _arrived(self, report: Report | None) -> None:
        if report is None:
            raise Wrong("the adapter ended")
        kind, channel, seq = report["report"], report.get("channel"), report.get("seq")
        if kind not in LOG and kind not in _ANSWERS:
            return
        self.history.append(f"reported {_told(report)}")
        if kind not in LOG:
            self._others.append(report)
            return
        before = self._positions.get(channel)
        if kind == "event" and before is not None and seq != before + 1:
            raise Wrong(f"it reported `event` {channel} {seq}, after number {before}")
        self._log.append(report)
        self._positions[channel] = None if kind == "left" else seq


def _is(wanted: Report, report: Report) -> bool:
    """Tell whether a report is the wanted one. It may leave out what the script names."""
    return all(report.get(name, item) == item for name, item in wanted.items())


def _told(report: Mapping[str, Any]) -> str:
    fields = [str(item)[:60] for name, item in report.items() if name not in ("report", "client")]
    return " ".join([f"`{report['report']}`", *fields])
