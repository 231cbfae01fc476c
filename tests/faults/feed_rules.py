"""The guarantees of the feed: what a product has by applying what it received is the log, and each stream is in order."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from tests.faults.record import Entry, FeedStep, Finding, Logs, deletions, same


def breaches(steps: Sequence[FeedStep], logs: Logs) -> Iterator[Finding]:
    """Yield every violation in what a product received. Without any steps there was no product."""
    product = _Product()
    for step in steps:
        yield from product.apply(step)
    if steps:
        yield from product.differences(logs)


class _Product:
    """What a product has, if it does with each step what docs/grpc.md says."""

    def __init__(self) -> None:
        self._have: dict[str, dict[int, Entry]] = defaultdict(dict)
        """By channel and number."""
        self._last: dict[str, int] = {}
        """By channel: the last number of this stream."""
        self._acknowledged: dict[str, int] = {}
        self._epoch = ""

    def apply(self, step: FeedStep) -> Iterator[Finding]:
        """Take a step, and yield what is wrong with it."""
        if step.epoch and step.epoch != self._epoch:  # a promoted standby may have lacked acknowledgements
            self._epoch, self._acknowledged = step.epoch, {}
        match step.what:
            case "stream":
                self._last = {}
            case "acknowledged":
                self._acknowledged |= self._last  # a cursor covers its stream: an earlier one may have been sent more
            case "reset":
                kept = {seq: entry for seq, entry in self._have[step.channel].items() if seq <= step.seq}
                self._have[step.channel] = kept
            case "event":
                yield from (Finding("feed", step.channel, what) for what in self._out_of_order(step))
                self._last[step.channel] = step.seq
                if step.entry is not None:
                    self._have[step.channel][step.seq] = step.entry

    def _out_of_order(self, step: FeedStep) -> Iterator[str]:
        """A stream goes on with a channel's next number. It begins above what was acknowledged, and leaves nothing out."""
        last, highest = self._last.get(step.channel), max(self._have[step.channel], default=0)
        if last is None:
            if step.seq > highest + 1:
                yield f"a stream began with {step.seq} after {highest}"
            if step.seq <= self._acknowledged.get(step.channel, 0):
                yield f"{step.seq} came after it was acknowledged"
        elif step.seq != last + 1:
            yield f"{step.seq} came after {last}"

    def differences(self, logs: Logs) -> Iterator[Finding]:
        """Yield where the product has something else than the final logs."""
        for channel, log in logs.items():
            deleted, have = deletions(log), dict(self._have[channel])
            for entry in log:
                seen = have.pop(entry.seq, None)
                if seen is None:
                    yield Finding("feed", channel, f"{entry.seq} never came")
                elif not same(seen, entry, deleted):
                    yield Finding("feed", channel, f"{seen} came where the log has {entry}")
            yield from (Finding("feed", channel, f"{seq} came, which the log does not have") for seq in have)
