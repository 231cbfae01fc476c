"""Errors of object storage and malware scanning."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from botocore.exceptions import BotoCoreError, ClientError

from chassis.errors import Unavailable

_ABSENT = frozenset({"404", "NoSuchKey", "NotFound"})
_CHANGED = frozenset({"412", "PreconditionFailed"})


class ObjectAbsentError(Exception):
    """No object has this key."""


class ObjectChangedError(Exception):
    """The object was replaced after it was read."""


class UnscannedError(Exception):
    """A scanner did not scan the whole file, so there is no result."""


@asynccontextmanager
async def storage_errors() -> AsyncIterator[None]:
    """Turn errors of the storage client into `ObjectAbsentError`, `ObjectChangedError` or, for all others, `Unavailable`."""
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
