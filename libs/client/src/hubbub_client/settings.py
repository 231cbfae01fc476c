"""The limits and deadlines of a client. The defaults suit bots and backends; tests shorten them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """Times in seconds, sizes in bytes."""

    open_seconds: float = 15.0
    """From the start of a connection to `hello`."""
    answer_seconds: float = 10.0
    """From a frame or a request to its answer. A send without an answer is repeated after it."""
    send_seconds: float = 60.0
    """How long `send` waits for the acknowledgement by default, reconnects included."""
    transfer_seconds: float = 120.0
    """For the bytes of an upload or a download."""
    scan_seconds: float = 60.0
    """From the end of an upload to the verdict of the scanner."""
    backoff_seconds: float = 1.0
    """The bound of the first delay before a reconnect; it doubles with each failure."""
    backoff_max_seconds: float = 30.0
    """The highest bound of that delay."""
    stable_seconds: float = 10.0
    """A connection of this length starts the backoff over."""
    outbox_bytes: int = 8 << 20
    """Messages that wait to be sent. Beyond it `send` and `submit` raise OutboxFull."""
    feed_bytes: int = 8 << 20
    """Updates that the application has not read. Beyond it the client leaves events to the server and asks for them later."""
