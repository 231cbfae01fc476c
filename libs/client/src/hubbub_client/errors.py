"""The exceptions of this package. Every public call raises these and no others, besides ValueError for wrong arguments.

HubbubError
├── Refused      the server says no, and why
├── NoAnswer     the outcome is unknown: the server is not reachable or did not answer in time
├── Ended        the client has ended for good, or was closed
└── OutboxFull   too many bytes wait to be sent
"""


class HubbubError(Exception):
    """Any failure of a call."""


class Refused(HubbubError):
    """The server refused the call; it had no effect."""

    def __init__(self, reason: str, detail: str = "", *, status: int = 0, retry_after: float | None = None) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        """For programs, such as `NOT_A_MEMBER`: the table of errors in docs/protocol.md."""
        self.detail = detail
        """For people; not stable."""
        self.status = status
        """The HTTP status; 0 if a frame was refused."""
        self.retry_after = retry_after
        """Seconds after which the same call may succeed; None if waiting does not help."""


class NoAnswer(HubbubError):
    """There was no answer, so the outcome is unknown. A send may be repeated with the same key."""


class Ended(HubbubError):
    """The client has ended and will not reconnect."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"{code} {reason}".strip())
        self.code = code
        """The close code, or the HTTP status of a refused handshake; 1000 after `close()`."""
        self.reason = reason
        """The server's words; empty if it gave none."""


class OutboxFull(HubbubError):
    """The messages that wait to be sent have reached the limit in bytes. Nothing was added."""
