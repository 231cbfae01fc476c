"""Every error that a caller may expect, and the one table of how each looks at every door.

    HubbubError
    ├── InvalidArgument      INVALID_ARGUMENT   400
    │   └── InvalidFrame     INVALID_FRAME      400
    ├── NotAuthenticated     NOT_AUTHENTICATED  401
    ├── NotAllowed           NOT_ALLOWED        403
    │   └── NotAMember       NOT_A_MEMBER       403
    ├── NotFound             NOT_FOUND          404
    ├── Conflict             CONFLICT           409
    │   ├── KeyReused        KEY_REUSED         409
    │   └── BlockedMedia     BLOCKED_MEDIA      409
    ├── TooLarge             TOO_LARGE          413
    ├── RateLimited          RATE_LIMITED       429
    │   └── SlowMode         SLOW_MODE          429
    ├── Unavailable          UNAVAILABLE        503
    ├── Internal             INTERNAL           500
    └── CallerRefused        of the calling service, not of the user: see there
        ├── CallerUnknown    CALLER_UNKNOWN     UNAUTHENTICATED
        ├── CallerNotAllowed CALLER_NOT_ALLOWED PERMISSION_DENIED
        └── CallerTooFast    CALLER_TOO_FAST    RESOURCE_EXHAUSTED

An error carries data (`reason`, `retry_after`), its `detail` is for people and never holds what somebody wrote.
How gRPC carries them is in `rpc_errors`; HTTP and socket shapes are the gateway's.
"""

from __future__ import annotations

from typing import ClassVar

import grpc


class HubbubError(Exception):
    """An expected refusal or failure.

    reason: the client protocol's word for it. http_status, grpc_status: how each door says it. title: for people, the same
    for every error of the class. default_retry_after: seconds after which a retry can help, 0 where waiting does not.
    """

    reason: ClassVar[str]
    http_status: ClassVar[int]
    grpc_status: ClassVar[grpc.StatusCode]
    title: ClassVar[str]
    default_retry_after: ClassVar[float] = 0.0

    def __init__(self, detail: str = "", *, retry_after: float | None = None) -> None:
        self.detail = detail or self.title
        self.retry_after = self.default_retry_after if retry_after is None else retry_after
        super().__init__(self.detail)


class InvalidArgument(HubbubError):
    """A field has the wrong type, length or value."""

    reason = "INVALID_ARGUMENT"
    http_status = 400
    grpc_status = grpc.StatusCode.INVALID_ARGUMENT
    title = "The request is not valid"


class InvalidFrame(InvalidArgument):
    """A frame or body is not what the protocol describes."""

    reason = "INVALID_FRAME"
    title = "The frame is not valid"


class NotAuthenticated(HubbubError):
    """No token, a void one, or a blocked user."""

    reason = "NOT_AUTHENTICATED"
    http_status = 401
    grpc_status = grpc.StatusCode.UNAUTHENTICATED
    title = "A valid token is required"


class NotAllowed(HubbubError):
    """The caller may see it but not do this to it."""

    reason = "NOT_ALLOWED"
    http_status = 403
    grpc_status = grpc.StatusCode.PERMISSION_DENIED
    title = "This is not allowed"


class NotAMember(NotAllowed):
    """A public channel that the caller could join."""

    reason = "NOT_A_MEMBER"
    title = "Only members may do this; the channel can be joined"


class NotFound(HubbubError):
    """Unknown, another tenant's, or not visible to the caller: the three are told apart nowhere."""

    reason = "NOT_FOUND"
    http_status = 404
    grpc_status = grpc.StatusCode.NOT_FOUND
    title = "There is no such thing"


class Conflict(HubbubError):
    """The thing is not in a state in which this can be done."""

    reason = "CONFLICT"
    http_status = 409
    grpc_status = grpc.StatusCode.FAILED_PRECONDITION
    title = "This cannot be done in the present state"


class KeyReused(Conflict):
    """An idempotency key came again with different content."""

    reason = "KEY_REUSED"
    title = "The key was used for something else"


class BlockedMedia(Conflict):
    """An upload that is not clean."""

    reason = "BLOCKED_MEDIA"
    title = "The upload is not available"


class TooLarge(HubbubError):
    """More bytes than the limit says."""

    reason = "TOO_LARGE"
    http_status = 413
    grpc_status = grpc.StatusCode.INVALID_ARGUMENT
    title = "This is too large"


class RateLimited(HubbubError):
    """Too many in too short a time."""

    reason = "RATE_LIMITED"
    http_status = 429
    grpc_status = grpc.StatusCode.RESOURCE_EXHAUSTED
    title = "Too many requests"
    default_retry_after = 1.0


class SlowMode(RateLimited):
    """The channel's pace for one member."""

    reason = "SLOW_MODE"
    title = "The channel is in slow mode"


class Unavailable(HubbubError):
    """Something this depends on does not answer; trying again later helps."""

    reason = "UNAVAILABLE"
    http_status = 503
    grpc_status = grpc.StatusCode.UNAVAILABLE
    title = "Temporarily unavailable"
    default_retry_after = 1.0


class Internal(HubbubError):
    """A defect of ours."""

    reason = "INTERNAL"
    http_status = 500
    grpc_status = grpc.StatusCode.INTERNAL
    title = "Something went wrong on our side"


class CallerRefused(HubbubError):
    """The calling service is refused, whoever it calls for. Its users are told `Unavailable`: they cannot mend it."""

    http_status = 503


class CallerUnknown(CallerRefused):
    """No token, or not one of a known service for this one."""

    reason = "CALLER_UNKNOWN"
    grpc_status = grpc.StatusCode.UNAUTHENTICATED
    title = "The calling service is not known here"


class CallerNotAllowed(CallerRefused):
    """The service lacks the scope, or speaks for a tenant that is not its own."""

    reason = "CALLER_NOT_ALLOWED"
    grpc_status = grpc.StatusCode.PERMISSION_DENIED
    title = "The calling service may not do this"


class CallerTooFast(CallerRefused):
    """The service is above its quota."""

    reason = "CALLER_TOO_FAST"
    grpc_status = grpc.StatusCode.RESOURCE_EXHAUSTED
    title = "The calling service is above its quota"
    default_retry_after = 1.0


ALL: tuple[type[HubbubError], ...] = (
    InvalidArgument,
    InvalidFrame,
    NotAuthenticated,
    NotAllowed,
    NotAMember,
    NotFound,
    Conflict,
    KeyReused,
    BlockedMedia,
    TooLarge,
    RateLimited,
    SlowMode,
    Unavailable,
    Internal,
)
"""What users may be told."""
REFUSED_CALLERS: tuple[type[CallerRefused], ...] = (CallerUnknown, CallerNotAllowed, CallerTooFast)
_BY_REASON = {error.reason: error for error in ALL}


def error_for(reason: str, detail: str = "", retry_after: float | None = None) -> HubbubError:
    """The error that a reason names; an unknown reason is `Internal`."""
    return _BY_REASON.get(reason, Internal)(detail, retry_after=retry_after)
