"""Maps errors to gRPC and back: a `google.rpc.Status` with `ErrorInfo` (the reason) and `RetryInfo`."""

from __future__ import annotations

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from chassis.errors import REFUSED_CALLERS, HubbubError, Internal, InvalidArgument, Unavailable, error_for

DOMAIN = "hubbub"
_CALLER_REFUSALS = frozenset(error.reason for error in REFUSED_CALLERS)


def to_status(error: HubbubError) -> grpc.Status:
    """Return the gRPC status for `error`."""
    info = any_pb2.Any()
    info.Pack(error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN))
    details = [info]
    if error.retry_after:
        wait = duration_pb2.Duration()
        wait.FromMicroseconds(int(error.retry_after * 1_000_000))
        retry = any_pb2.Any()
        retry.Pack(error_details_pb2.RetryInfo(retry_delay=wait))
        details.append(retry)
    code = code_pb2.Code.Value(error.grpc_status.name)
    return rpc_status.to_status(status_pb2.Status(code=code, message=error.detail, details=details))


def from_call(error: grpc.aio.AioRpcError) -> HubbubError:
    """Return the error of a failed call. Without Hubbub's `ErrorInfo`, the gRPC status decides."""
    try:
        status = rpc_status.from_call(error)  # type: ignore[arg-type]  # typed for sync calls, works for both
    except ValueError:  # the details contradict the status of the call
        status = None
    reason, retry_after = "", None
    for detail in status.details if status else ():
        info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
        if detail.Unpack(info) and info.domain == DOMAIN:
            reason = info.reason
        elif detail.Unpack(retry):
            retry_after = retry.retry_delay.ToMicroseconds() / 1_000_000
    if reason in _CALLER_REFUSALS:
        return Unavailable(retry_after=retry_after)
    if reason:
        return error_for(reason, error.details() or "", retry_after)
    match error.code():
        case (
            grpc.StatusCode.UNAVAILABLE
            | grpc.StatusCode.DEADLINE_EXCEEDED
            | grpc.StatusCode.CANCELLED
            | grpc.StatusCode.RESOURCE_EXHAUSTED
        ):
            return Unavailable()
        case grpc.StatusCode.INVALID_ARGUMENT:
            return InvalidArgument()
        case _:
            return Internal()
