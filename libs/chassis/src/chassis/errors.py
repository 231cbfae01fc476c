"""Every expected error, with its reason, HTTP status and gRPC status.

    HubbubError
    ├── InvalidArgument      INVALID_ARGUMENT   400
    │   └── InvalidFrame     INVALID_FRAME      400
    ├── NotAuthenticated     NOT_AUTHENTICATED  401
    ├── NotAllowed           NOT_ALLOWED        403
    │   ├── NotAMember       NOT_A_MEMBER       403
    │   └── SignInAgain      SIGN_IN_AGAIN      403
    ├── NotFound             NOT_FOUND          404
    ├── Conflict             CONFLICT           409
    │   ├── KeyReused        KEY_REUSED         409
    │   └── BlockedMedia     BLOCKED_MEDIA      409
    ├── TooLarge             TOO_LARGE          413
    ├── RateLimited          RATE_LIMITED       429
    │   └── SlowMode         SLOW_MODE          429
    ├── Unavailable          UNAVAILABLE        503
    ├── Internal             INTERNAL           500
    └── CallerRefused        about the calling service, not the user
        ├── CallerUnknown    CALLER_UNKNOWN     UNAUTHENTICATED
        ├── CallerNotAllowed CALLER_NOT_ALLOWED PERMISSION_DENIED
        └── CallerTooFast    CALLER_TOO_FAST    RESOURCE_EXHAUSTED

An error carries data (`reason`, `retry_after`). `detail` is for people and never contains user content.
`rpc_errors` maps errors to gRPC; the gateway maps them to HTTP and socket frames.
"""

from __future__ import annotations

from typing import ClassVar

import grpc


class HubbubError(Exception):
    """An expected refusal or failure.

    reason: the code in the client protocol. title: a sentence for people, the same for every error of the class.
    default_retry_after: seconds after which a retry may succeed; 0 if waiting does not help.
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
    """A frame or body does not follow the protocol."""

    reason = "INVALID_FRAME"
    title = "The frame is not valid"


class NotAuthenticated(HubbubError):
    """The token is missing or invalid, or the user is blocked."""

    reason = "NOT_AUTHENTICATED"
    http_status = 401
    grpc_status = grpc.StatusCode.UNAUTHENTICATED
    title = "A valid token is required"


class NotAllowed(HubbubError):
    """The user may see the object but not perform this operation on it."""

    reason = "NOT_ALLOWED"
    http_status = 403
    grpc_status = grpc.StatusCode.PERMISSION_DENIED
    title = "This is not allowed"


class NotAMember(NotAllowed):
    """The user is not a member of this public channel, but may join it."""

    reason = "NOT_A_MEMBER"
    title = "Only members may do this; join the channel first"


class SignInAgain(NotAllowed):
    """The user may do this, but must first prove again who they are."""

    reason = "SIGN_IN_AGAIN"
    title = "Sign in again to do this"


class NotFound(HubbubError):
    """The object does not exist, belongs to another tenant, or is invisible to the user. Callers cannot tell which."""

    reason = "NOT_FOUND"
    http_status = 404
    grpc_status = grpc.StatusCode.NOT_FOUND
    title = "Not found"


class Conflict(HubbubError):
    """The object's current state does not allow this operation."""

    reason = "CONFLICT"
    http_status = 409
    grpc_status = grpc.StatusCode.FAILED_PRECONDITION
    title = "The current state does not allow this"


class KeyReused(Conflict):
    """An idempotency key was reused with different content."""

    reason = "KEY_REUSED"
    title = "The key was already used with different content"


class BlockedMedia(Conflict):
    """The upload was found unsafe, or its scan failed."""

    reason = "BLOCKED_MEDIA"
    title = "The upload is not available"


class TooLarge(HubbubError):
    """The content exceeds a size limit."""

    reason = "TOO_LARGE"
    http_status = 413
    grpc_status = grpc.StatusCode.INVALID_ARGUMENT
    title = "Too large"


class RateLimited(HubbubError):
    """A rate limit was exceeded."""

    reason = "RATE_LIMITED"
    http_status = 429
    grpc_status = grpc.StatusCode.RESOURCE_EXHAUSTED
    title = "Too many requests"
    default_retry_after = 1.0


class SlowMode(RateLimited):
    """The member must wait: the channel is in slow mode."""

    reason = "SLOW_MODE"
    title = "The channel is in slow mode"


class Unavailable(HubbubError):
    """A dependency does not answer. A retry may succeed."""

    reason = "UNAVAILABLE"
    http_status = 503
    grpc_status = grpc.StatusCode.UNAVAILABLE
    title = "Temporarily unavailable"
    default_retry_after = 1.0


class Internal(HubbubError):
    """A defect in Hubbub."""

    reason = "INTERNAL"
    http_status = 500
    grpc_status = grpc.StatusCode.INTERNAL
    title = "Internal error"


class CallerRefused(HubbubError):
    """The calling service is refused, regardless of the user. Its users get `Unavailable`, because they cannot fix it."""

    http_status = 503


class CallerUnknown(CallerRefused):
    """The call has no valid token of a known service for this audience."""

    reason = "CALLER_UNKNOWN"
    grpc_status = grpc.StatusCode.UNAUTHENTICATED
    title = "The calling service is not known here"


class CallerNotAllowed(CallerRefused):
    """The service lacks the scope, or may not act for the tenant."""

    reason = "CALLER_NOT_ALLOWED"
    grpc_status = grpc.StatusCode.PERMISSION_DENIED
    title = "The calling service may not do this"


class CallerTooFast(CallerRefused):
    """The service exceeded its quota."""

    reason = "CALLER_TOO_FAST"
    grpc_status = grpc.StatusCode.RESOURCE_EXHAUSTED
    title = "The calling service exceeded its quota"
    default_retry_after = 1.0


ALL: tuple[type[HubbubError], ...] = (
    InvalidArgument,
    InvalidFrame,
    NotAuthenticated,
    NotAllowed,
    NotAMember,
    SignInAgain,
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
"""Errors that users may receive."""
REFUSED_CALLERS: tuple[type[CallerRefused], ...] = (CallerUnknown, CallerNotAllowed, CallerTooFast)
_BY_REASON = {error.reason: error for error in ALL}


def error_for(reason: str, detail: str = "", retry_after: float | None = None) -> HubbubError:
    """Return the error for a reason; `Internal` for an unknown one."""
    return _BY_REASON.get(reason, Internal)(detail, retry_after=retry_after)
