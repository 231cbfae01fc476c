"""Errors of object storage, scanners and decoders."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from botocore.exceptions import BotoCoreError, ClientError

from chassis.errors import Unavailable

_ABSENT = frozenset({"404", "NoSuchKey", "NotFound"})


class ObjectAbsentError(Exception):
    """There is no object of this key."""


class UnscannedError(Exception):
    """The file could not be examined, so nothing is known about it."""


class DecoderCrashedError(UnscannedError):
    """The decoder ended without a verdict, several times."""


class BrokenImageError(Exception):
    """The picture is broken, too large or too costly to be decoded."""


@asynccontextmanager
async def translated() -> AsyncIterator[None]:
    """Raise `ObjectAbsentError` for an object that is not there, `Unavailable` for any other failure of object storage."""
    try:
        yield
    except ClientError as error:
        if error.response.get("Error", {}).get("Code", "") in _ABSENT:
            raise ObjectAbsentError from error
        raise Unavailable from error
    except (BotoCoreError, aiohttp.ClientError, TimeoutError, OSError) as error:
        raise Unavailable from error
