"""Wraps every RPC handler: authentication, request id, one log line and one measurement per call, errors as statuses."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import Any, Self

import grpc
import structlog

from chassis.callers import Caller, Callers
from chassis.context import REQUEST_ID_METADATA, request, request_id_from, serving_tenants
from chassis.errors import CallerRefused, HubbubError, Internal
from chassis.metrics import DEFECTS, RPC_CALLS, RPC_SECONDS
from chassis.rpc_errors import to_status
from chassis.scopes import NEEDED

log = structlog.get_logger()
_OWN_PREFIX = "/hubbub."
_POLLED = frozenset({"/hubbub.messages.v1.MessagesService/GetHeads", "/hubbub.gateway.v1.GatewayService/HandOver"})
"""Methods that gateways call all the time: their success is not logged."""
_UNKNOWN_CALLER = "-"


class ServerInterceptor(grpc.aio.ServerInterceptor):
    """Wraps the handlers of Hubbub's services. Health and reflection handlers stay as they are."""

    def __init__(self, callers: Callers | None) -> None:
        self._callers = callers
        """The services that may call; None if any process may call."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Find the handler and wrap it by its kind."""
        handler = await continuation(handler_call_details)
        if handler is None or not handler_call_details.method.startswith(_OWN_PREFIX):
            return handler
        call = self._authorize(handler_call_details)
        if handler.unary_unary:
            return grpc.unary_unary_rpc_method_handler(
                _unary(handler.unary_unary, call),
                handler.request_deserializer,
                handler.response_serializer,
            )
        if handler.unary_stream:
            return grpc.unary_stream_rpc_method_handler(
                _stream(handler.unary_stream, call),
                handler.request_deserializer,
                handler.response_serializer,
            )
        return grpc.stream_stream_rpc_method_handler(
            _stream(handler.stream_stream, call),
            handler.request_deserializer,
            handler.response_serializer,
        )

    def _authorize(self, details: grpc.HandlerCallDetails) -> _Call:
        given = dict(details.invocation_metadata).get(REQUEST_ID_METADATA)
        request_id = request_id_from(given if isinstance(given, str) else None)
        caller, refusal = None, None
        if self._callers is not None:
            try:
                credential = self._callers.identify(details.invocation_metadata)
                caller = credential.caller
                credential.authorize(NEEDED.get(details.method))
            except CallerRefused as error:
                refusal = error
        return _Call(details.method, request_id, caller, refusal)


@dataclass(frozen=True, slots=True)
class _Call:
    """A call before its handler runs."""

    method: str
    request_id: str
    caller: Caller | None
    """None if unknown or not authenticated."""
    refusal: CallerRefused | None
    """The reason to refuse the call, if any."""

    @property
    def caller_name(self) -> str | None:
        """The caller's name, if known."""
        return self.caller.name if self.caller else None

    @contextmanager
    def checked(self, message: object) -> Iterator[None]:
        """Handle this message inside the block. Raises `CallerRefused` unless the caller may send it."""
        if self.refusal:
            raise self.refusal
        if self.caller:
            needed = NEEDED[self.method]
            if needed.names_tenants:
                self.caller.require_tenants(message)
            self.caller.count_message(message, needed.cost)
        with serving_tenants(self.caller.tenants if self.caller else None):
            yield


def _unary(handler: Callable[..., Awaitable[Any]], call: _Call) -> Callable[..., Awaitable[Any]]:
    async def handle(message: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        with request(call.request_id, call.caller_name):
            async with _Record(call, context) as record:
                with call.checked(message):
                    return await handler(message, context)
            return await record.abort()

    return handle


def _stream(handler: Callable[..., AsyncGenerator[Any]], call: _Call) -> Callable[..., Awaitable[None]]:
    """Wrap a generator of answers. It is closed in the call's own task, also when the client is gone."""

    async def handle(message: Any, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        with request(call.request_id, call.caller_name):
            async with _Record(call, context) as record:
                with call.checked(message):
                    async with aclosing(handler(message, context)) as answers:
                        async for answer in answers:
                            await context.write(answer)
                return
            await record.abort()

    return handle


class _Record:
    """Logs and measures one RPC, and turns an exception into a status."""

    def __init__(self, call: _Call, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        self._call = call
        self._context = context
        self._started = time.perf_counter()
        self._error: HubbubError | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, _traceback: object) -> bool:
        status, method = "OK", self._call.method
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
        RPC_CALLS.labels(self._call.caller_name or _UNKNOWN_CALLER, status).inc()
        level = logging.DEBUG if method in _POLLED and status == "OK" else logging.INFO
        log.log(level, "rpc_answered", method=method, status=status, milliseconds=round(seconds * 1e3, 2))
        return self._error is not None

    async def abort(self) -> None:
        """Send the status of the exception, if there was one."""
        if self._error is None:
            return
        await self._context.abort_with_status(to_status(self._error))
