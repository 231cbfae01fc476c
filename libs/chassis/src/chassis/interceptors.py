"""What surrounds every RPC: the request's id, one canonical log line, one measurement, errors in their one shape."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Self

import grpc
import structlog

from chassis.context import REQUEST_ID_METADATA, request, request_id_from
from chassis.errors import HubbubError, Internal
from chassis.metrics import DEFECTS, RPC_SECONDS
from chassis.rpc_errors import to_status

log = structlog.get_logger()
_OURS = "/hubbub."


class ServerInterceptor(grpc.aio.ServerInterceptor):
    """Wraps the handlers of our own services; health and reflection pass untouched."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Find the handler and wrap it by its shape."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or not method.startswith(_OURS):
            return handler
        given = dict(handler_call_details.invocation_metadata).get(REQUEST_ID_METADATA)
        request_id = request_id_from(given if isinstance(given, str) else None)
        if handler.unary_unary:
            return grpc.unary_unary_rpc_method_handler(
                _unary(handler.unary_unary, method, request_id),
                handler.request_deserializer,
                handler.response_serializer,
            )
        if handler.unary_stream:
            return grpc.unary_stream_rpc_method_handler(
                _stream(handler.unary_stream, method, request_id),
                handler.request_deserializer,
                handler.response_serializer,
            )
        return grpc.stream_stream_rpc_method_handler(
            _stream(handler.stream_stream, method, request_id),
            handler.request_deserializer,
            handler.response_serializer,
        )


def _unary(behave: Callable[..., Awaitable[Any]], method: str, request_id: str) -> Callable[..., Awaitable[Any]]:
    async def call(message: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        with request(request_id):
            async with _Line(method, context) as line:
                return await behave(message, context)
            return await line.abort()

    return call


def _stream(behave: Callable[..., AsyncIterator[Any]], method: str, request_id: str) -> Callable[..., AsyncIterator[Any]]:
    async def call(message: Any, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
        with request(request_id):
            async with _Line(method, context) as line:
                async for answer in behave(message, context):
                    yield answer
                return
            await line.abort()

    return call


class _Line:
    """One RPC's canonical line and measurement; turns what was raised into a status."""

    def __init__(self, method: str, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        self._method = method
        self._context = context
        self._started = time.perf_counter()
        self._error: HubbubError | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, _traceback: object) -> bool:
        status = "OK"
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
                log.error("rpc_failed", method=self._method, error=type(error).__name__, exc_info=error)
        seconds = time.perf_counter() - self._started
        RPC_SECONDS.labels(self._method, status).observe(seconds)
        log.info("rpc_answered", method=self._method, status=status, milliseconds=round(seconds * 1e3, 2))
        return self._error is not None

    async def abort(self) -> None:
        """Answer the status of what was raised."""
        if self._error is None:
            return
        await self._context.abort_with_status(to_status(self._error))
