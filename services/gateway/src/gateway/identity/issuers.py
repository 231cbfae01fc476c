"""Holds the public keys that verify tokens: the development issuer's, and each configured issuer's JWKS.

A JWKS is cached by `kid`. It is fetched again for an unknown `kid`, and after `FRESH_SECONDS`, so that a withdrawn key is not
accepted for longer; one fetch at a time, at most one in `COOLDOWN_SECONDS`. If a fetch fails or has no usable key, the last
good set stays. A request whose key is known does not wait for a fetch. `safe_fetch` restricts which servers are asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import msgspec
import structlog
from joserfc.jwk import OKPKey

from chassis.jwt import VerificationKey, verification_keys
from gateway.config import TOKEN_SECONDS, IssuerConfig
from gateway.identity.safe_fetch import FetchError, ask

log = structlog.get_logger()
COOLDOWN_SECONDS = 30.0
FRESH_SECONDS = 600.0
DEV_ISSUER = "hubbub-dev"
DEV_TOKEN_SECONDS = 30 * 86_400
"""The longest life of a development token."""
DEV_AUDIENCE = "hubbub"


class _Jwks(msgspec.Struct):
    keys: list[dict[str, object]]


def parse_jwks(data: bytes) -> dict[str, VerificationKey]:
    """The usable keys of a JWKS by `kid`. Raises `FetchError` if it is not a JWKS or has no usable key."""
    try:
        listed = msgspec.json.decode(data, type=_Jwks).keys
    except msgspec.DecodeError as error:
        raise FetchError("not a JWKS") from error
    try:
        keys = verification_keys(listed)
    except ValueError as error:
        raise FetchError(str(error)) from error
    if not keys:
        raise FetchError("no usable key")
    return keys


class Issuer:
    """One issuer, its tenants and its keys."""

    def __init__(
        self,
        config: IssuerConfig,
        *,
        public_only: bool,
        longest_seconds: int = TOKEN_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = config.issuer
        self.audience = config.audience
        self.longest_seconds = longest_seconds
        """The longest life of a token, from `iat` to `exp`."""
        self._tenants = frozenset(config.tenants)
        self._url = config.jwks_url
        self._file = config.jwks_file
        self._public_only = public_only
        """Fetch over https and from public addresses only."""
        self._clock = clock
        self._keys: dict[str, VerificationKey] = {}
        self._fetched = float("-inf")
        """When the last fetch began."""
        self._good = float("-inf")
        """When the last successful fetch began."""
        self._fetching = asyncio.Lock()

    def may_name(self, tenant: str) -> bool:
        """Whether its tokens may name the tenant; `*` in the configuration stands for any."""
        return tenant in self._tenants or "*" in self._tenants

    async def key(self, kid: str) -> VerificationKey | None:
        """The key named `kid`. Fetches the set if the key is unknown or the set is old."""
        known = kid in self._keys
        if not known or (self._clock() - self._good >= FRESH_SECONDS and not self._fetching.locked()):
            await self._refresh(kid, known=known)
        return self._keys.get(kid)

    async def _refresh(self, kid: str, *, known: bool) -> None:
        async with self._fetching:
            began = self._clock()
            if began - self._fetched < COOLDOWN_SECONDS or (kid in self._keys and not known):
                return
            self._fetched = began
            try:
                self._keys = parse_jwks(await self._fetch())
            except (FetchError, OSError, TimeoutError) as error:
                log.warning("jwks_not_fetched", issuer=self.name, error=type(error).__name__)
            else:
                self._good = began

    async def _fetch(self) -> bytes:
        if self._file is not None:
            return await asyncio.to_thread(Path(self._file).read_bytes)
        return await fetch(self._url or "", public_only=self._public_only)


async def fetch(url: str, *, public_only: bool) -> bytes:
    """GET a key set. Raises `FetchError`, `OSError`."""
    answer = await ask("GET", url, public_only=public_only)
    if answer.status != httpx.codes.OK:
        raise FetchError("not found")
    return answer.body


class DevIssuer(Issuer):
    """The issuer of a local stack: signs the tokens of `POST /v1/dev/login`."""

    def __init__(self, key: OKPKey) -> None:
        config = IssuerConfig(DEV_ISSUER, DEV_AUDIENCE, ("*",))
        super().__init__(config, public_only=True, longest_seconds=DEV_TOKEN_SECONDS)
        self.signing_key = key
        self.kid = key.thumbprint()
        self._keys = {self.kid: VerificationKey("EdDSA", key)}

    async def _refresh(self, kid: str, *, known: bool) -> None:
        """Do nothing: there is one key."""


def dev_key(path: Path) -> OKPKey:
    """The development key, generated if missing; gateways that start together get the same one."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        made = OKPKey.generate_key("Ed25519").as_pem(private=True)
        with tempfile.NamedTemporaryFile(dir=path.parent) as draft:
            draft.write(made)
            draft.flush()
            with contextlib.suppress(FileExistsError):
                os.link(draft.name, path)  # mode 0600, and only if no other gateway was faster
    return OKPKey.import_key(path.read_bytes())
