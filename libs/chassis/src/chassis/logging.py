"""Configures structlog: JSON lines in production, readable lines locally, on stdout (`log_output`).

An event has a static name in the past tense (`batch_stored`) and ids as fields. Never log message text, tokens, file names or
third-party exception text.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import MutableMapping
from typing import Any, TextIO, cast

import structlog

from chassis.config import ProcessConfig
from chassis.log_output import LogOutput

STDOUT = 1
"""The file descriptor."""
TRACEBACKS_PER_MINUTE = 20
"""Further ones are left out of their events, so that a repeated defect does not fill the disk."""
_TRACEBACKS = structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False))


def configure(config: ProcessConfig) -> None:
    """Set up structlog and the standard library's logging. Call once, before anything logs."""
    level = getattr(logging, config.log_level.upper())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True)
        if config.production
        else structlog.processors.TimeStamper(fmt="%H:%M:%S.%f"),
    ]
    last: list[Any]
    # Never log local variables: they include connection strings, tokens and message texts.
    if config.production:
        last = [_TRACEBACKS, _without_messages, structlog.processors.JSONRenderer()]
    else:
        plain = structlog.dev.plain_traceback
        last = [structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty(), exception_formatter=plain)]
    structlog.configure(
        processors=[*shared, _Tracebacks(), *last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, LogOutput(STDOUT))),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(instance=config.instance)
    logging.basicConfig(level=logging.WARNING, handlers=[_Forward()], force=True)


class _Tracebacks:
    """Drops the traceback of an event beyond `TRACEBACKS_PER_MINUTE`, and says so in it."""

    def __init__(self) -> None:
        self._minute = 0
        self._logged = 0

    def __call__(self, _logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if event.get("exc_info"):
            minute = int(time.monotonic() / 60)
            self._logged = self._logged + 1 if minute == self._minute else 1
            self._minute = minute
            if self._logged > TRACEBACKS_PER_MINUTE:
                event["exc_info"] = None
                event["traceback_dropped"] = True
        return event


def _without_messages(_logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Keep the types and frames of exceptions, and drop their messages, which may quote a row, a URL or a user."""
    for raised in event.get("exception", ()):
        raised.pop("exc_value", None)
        raised.pop("exc_notes", None)
    return event


class _Forward(logging.Handler):
    """Forwards library logs to structlog: the logger's name and, at level debug only, the message."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger()
        fields: dict[str, Any] = {"logger": record.name}
        if record.exc_info and record.exc_info[0]:
            fields["error"] = record.exc_info[0].__name__
        log.debug("library_logged", text=record.getMessage(), **fields)
        if record.levelno >= logging.ERROR:
            log.error("library_failed", **fields)
