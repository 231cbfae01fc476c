"""What object storage and scanners say, as the errors that callers know."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from botocore.exceptions import BotoCoreError, ClientError

from chassis.errors import Unavailable

_ABSENT = frozenset({"404", "NoSuchKey", "NotFound"})
_CHANGED = frozenset({"412", "PreconditionFailed"})


class ObjectAbsentError(Exception):
    """There is no object of this key."""


class ObjectChangedError(Exception):
    """The object is not the one that was looked at before."""


class UnscannedError(Exception):
    """The scanner could not look at all of it, so nothing is known."""


@asynccontextmanager
async def translated() -> AsyncIterator[None]:
    """Raise `ObjectAbsentError`, `ObjectChangedError`, else `Unavailable` for what object storage refuses or does not answer."""
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code in _ABSENT:
            raise ObjectAbsentError from error
        if code in _CHANGED:
            raise ObjectChangedError from error
        raise Unavailable from error
    except (BotoCoreError, aiohttp.ClientError, TimeoutError, OSError) as error:
        raise Unavailable from error
