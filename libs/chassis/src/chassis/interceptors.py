"""What surrounds every RPC: who calls, the request's id, one canonical log line, one measurement, errors in their one shape."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Self

import grpc
import structlog

from chassis.callers import Caller, Callers
from chassis.context import REQUEST_ID_METADATA, request, request_id_from
from chassis.errors import CallerRefused, HubbubError, Internal
from chassis.metrics import DEFECTS, RPC_CALLS, RPC_SECONDS
from chassis.rpc_errors import to_status
from chassis.scopes import NEEDED

log = structlog.get_logger()
_OURS = "/hubbub."
_UNKNOWN = "-"


class ServerInterceptor(grpc.aio.ServerInterceptor):
    """Wraps the handlers of our own services; health and reflection pass untouched."""

    def __init__(self, callers: Callers | None) -> None:
        self._callers = callers
        """Who may call; None where anybody may."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Find the handler and wrap it by its shape."""
        handler = await continuation(handler_call_details)
        if handler is None or not handler_call_details.method.startswith(_OURS):
            return handler
        arrival = self._judge(handler_call_details)
        if handler.unary_unary:
            return grpc.unary_unary_rpc_method_handler(
                _unary(handler.unary_unary, arrival),
                handler.request_deserializer,
                handler.response_serializer,
            )
        if handler.unary_stream:
            return grpc.unary_stream_rpc_method_handler(
                _stream(handler.unary_stream, arrival),
                handler.request_deserializer,
                handler.response_serializer,
            )
        return grpc.stream_stream_rpc_method_handler(
            _stream(handler.stream_stream, arrival),
            handler.request_deserializer,
            handler.response_serializer,
        )

    def _judge(self, details: grpc.HandlerCallDetails) -> _Arrival:
        given = dict(details.invocation_metadata).get(REQUEST_ID_METADATA)
        request_id = request_id_from(given if isinstance(given, str) else None)
        caller, refusal = None, None
        if self._callers is not None:
            try:
                credential = self._callers.identify(details.invocation_metadata)
                caller = credential.caller
                credential.admit(NEEDED.get(details.method))
            except CallerRefused as error:
                refusal = error
        return _Arrival(details.method, request_id, caller, refusal)


@dataclass(frozen=True, slots=True)
class _Arrival:
    """One call as it comes in."""

    method: str
    request_id: str
    caller: Caller | None
    """None where it is not known, or not asked for."""
    refusal: CallerRefused | None
    """Why it goes no further."""

    @property
    def name(self) -> str | None:
        """The caller's."""
        return self.caller.name if self.caller else None

    def enter(self, message: object) -> None:
        """Begin with what was asked. Raises `CallerRefused`."""
        if self.refusal:
            raise self.refusal
        if self.caller:
            self.caller.speak(message)


def _unary(behave: Callable[..., Awaitable[Any]], arrival: _Arrival) -> Callable[..., Awaitable[Any]]:
    async def call(message: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        with request(arrival.request_id, arrival.name):
            async with _Line(arrival, context) as line:
                arrival.enter(message)
                return await behave(message, context)
            return await line.abort()

    return call


def _stream(behave: Callable[..., AsyncIterator[Any]], arrival: _Arrival) -> Callable[..., AsyncIterator[Any]]:
    async def call(message: Any, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
        with request(arrival.request_id, arrival.name):
            async with _Line(arrival, context) as line:
                arrival.enter(message)
                async for answer in behave(message, context):
                    yield answer
                return
            await line.abort()

    return call


class _Line:
    """One RPC's canonical line and measurement; turns what was raised into a status."""

    def __init__(self, arrival: _Arrival, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        self._arrival = arrival
        self._context = context
        self._started = time.perf_counter()
        self._error: HubbubError | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, _traceback: object) -> bool:
        status, method = "OK", self._arrival.method
        match error:
            case None | GeneratorExit():
                pass
            case HubbubError():
                self._error, status = error, error.reason
            case asyncio.CancelledError():
                status = "CANCELLED"
            case Exception():
                self._error, status = Internal(), Internal.reason
                DEFECTS.labels("rpc").inc()
                log.error("rpc_failed", method=method, error=type(error).__name__, exc_info=error)
        seconds = time.perf_counter() - self._started
        RPC_SECONDS.labels(method, status).observe(seconds)
        RPC_CALLS.labels(self._arrival.name or _UNKNOWN, status).inc()
        log.info("rpc_answered", method=method, status=status, milliseconds=round(seconds * 1e3, 2))
        return self._error is not None

    async def abort(self) -> None:
        """Answer the status of what was raised."""
        if self._error is None:
            return
        await self._context.abort_with_status(to_status(self._error))
