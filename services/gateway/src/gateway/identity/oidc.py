"""Signs users in at an OpenID provider: authorization code with PKCE, state and nonce (OpenID Connect Core 1.0, RFC 7636).

Authlib makes the protocol's messages. Requests go through `safe_fetch`, and the ID token is verified as strictly as any other
token. `http.signin` has the endpoints, `cookies` the sessions.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
import time
from collections.abc import Callable
from typing import Annotated, Any

import httpx
import msgspec
import structlog
from authlib.oauth2 import OAuth2Error
from authlib.oauth2.client import OAuth2Client
from msgspec import Meta

from chassis.errors import NotAllowed, NotAuthenticated, Unavailable
from chassis.jwt import NumericDate
from chassis.text import is_identifier, readable
from gateway.config import IssuerConfig, SignInConfig
from gateway.identity.authentication import LEEWAY_SECONDS, UNFIT, verify
from gateway.identity.identity import Identity
from gateway.identity.issuers import Issuer, fetch
from gateway.identity.safe_fetch import FetchError, ask

log = structlog.get_logger()
DISCOVERY_PATH = "/.well-known/openid-configuration"
DISCOVERY_SECONDS = 3_600.0
"""How long a provider's description is cached."""
COOLDOWN_SECONDS = 5.0
"""After a failed discovery."""
EXCHANGES = 64
"""Codes exchanged at one time; more are rejected."""
ANY_VALUE = "*"
ID_TOKEN_SECONDS = 600.0
"""The greatest age of an ID token: it was issued for this very sign-in."""
_NAME_CHARACTERS = 128
_MAX_ROLES = 16


class Discovered(msgspec.Struct, frozen=True):
    """The part of a provider's description that is used here (OpenID Connect Discovery 1.0)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)


class Attempt(msgspec.Struct, frozen=True, array_like=True):
    """A sign-in under way; the browser that began it keeps it, sealed."""

    state: str
    nonce: str
    verifier: str
    next: str
    """Path to redirect to afterwards."""


class IdToken(msgspec.Struct, frozen=True):
    """The claims of an ID token; the settings name those of the tenant and roles."""

    aud: str | list[str]
    exp: NumericDate
    iat: NumericDate
    sub: Annotated[str, Meta(min_length=1, max_length=128)]
    nonce: str
    azp: str | None = None
    auth_time: NumericDate = 0


class _Client(OAuth2Client):  # type: ignore[misc]  # ships no types
    """Authlib's client, with requests made by `safe_fetch`."""

    def __init__(self, public_only: bool, **options: Any) -> None:
        super().__init__(None, **options)
        self._public_only = public_only

    async def _fetch_token(self, url: str, *, body: str, headers: dict[str, str], auth: Any, method: str) -> Any:
        url, headers, body = auth.prepare(method, url, dict(headers), body)
        answer = await ask(method, url, public_only=self._public_only, headers=headers, content=body.encode())
        return self.parse_response_token(httpx.Response(answer.status, content=answer.body, request=httpx.Request(method, url)))


class Provider:
    """The OpenID provider of this deployment."""

    def __init__(self, config: SignInConfig, *, public_only: bool, clock: Callable[[], float] = time.time) -> None:
        self._config = config
        self._public_only = public_only
        self._clock = clock
        self._known: tuple[Discovered, Issuer] | None = None
        """The provider's description and keys; the last good ones."""
        self._again_at = float("-inf")
        """When to fetch the description again, on the monotonic clock."""
        self._asking = asyncio.Lock()
        self._exchanges = 0

    async def begin(self, next_path: str, *, fresh: bool = False) -> tuple[Attempt, str]:
        """A new attempt, and the address to send the browser to. Raises `Unavailable`.

        With `fresh` the provider asks the user to prove again who they are, and says when that was (`auth_time`).
        """
        discovered, _ = await self._discovered()
        attempt = Attempt(secrets.token_urlsafe(32), secrets.token_urlsafe(32), secrets.token_urlsafe(32), next_path)
        url, _ = self._client(discovered).create_authorization_url(
            discovered.authorization_endpoint,
            state=attempt.state,
            nonce=attempt.nonce,
            code_verifier=attempt.verifier,
            **({"prompt": "login", "max_age": 0} if fresh else {}),
        )
        return attempt, url

    async def finish(self, attempt: Attempt, state: str, code: str, issuer: str | None) -> Identity:
        """The identity of the user. Raises `NotAuthenticated` for an answer to another attempt, `NotAllowed`, `Unavailable`."""
        ours = issuer is None or issuer == self._config.issuer  # RFC 9207: `iss` reveals another provider's answer
        if not ours or not hmac.compare_digest(state.encode(), attempt.state.encode()):
            raise NotAuthenticated("This answer belongs to another sign-in; begin again")
        discovered, keys = await self._discovered()
        claims = (await verify(await self._exchange(discovered, code, attempt.verifier), {keys.name: keys})).claims
        return self._identity(claims, attempt.nonce)

    def _client(self, discovered: Discovered) -> _Client:
        config = self._config
        basic = "client_secret_basic" in discovered.token_endpoint_auth_methods_supported
        method = ("client_secret_basic" if basic else "client_secret_post") if config.client_secret else "none"
        return _Client(
            self._public_only,
            client_id=config.client_id,
            client_secret=config.client_secret,
            token_endpoint_auth_method=method,
            scope="openid profile",
            redirect_uri=config.redirect_uri,
            code_challenge_method="S256",
        )

    async def _discovered(self) -> tuple[Discovered, Issuer]:
        async with self._asking:
            if time.monotonic() >= self._again_at:
                await self._discover()
            if self._known is None:
                raise Unavailable("The sign-in provider does not answer")
            return self._known

    async def _discover(self) -> None:
        self._again_at = time.monotonic() + COOLDOWN_SECONDS
        try:
            found = await self._description()
        except (FetchError, OSError, msgspec.DecodeError) as error:
            log.warning("provider_not_discovered", issuer=self._config.issuer, error=type(error).__name__)
            return
        self._again_at += DISCOVERY_SECONDS
        if self._known is None or self._known[0] != found:
            keys = IssuerConfig(found.issuer, self._config.client_id, (), jwks_url=found.jwks_uri)
            self._known = found, Issuer(keys, public_only=self._public_only)

    async def _description(self) -> Discovered:
        """Fetch the provider's description. Raises `FetchError`, `OSError`, `DecodeError`."""
        body = await fetch(self._config.issuer.rstrip("/") + DISCOVERY_PATH, public_only=self._public_only)
        found = msgspec.json.decode(body, type=Discovered)
        if found.issuer != self._config.issuer or not self._fit(found):
            raise FetchError("another issuer's, or without TLS")
        return found

    def _fit(self, found: Discovered) -> bool:
        """Whether all endpoints use TLS."""
        endpoints = (found.authorization_endpoint, found.token_endpoint, found.jwks_uri)
        return all(each.startswith("https://" if self._public_only else ("https://", "http://")) for each in endpoints)

    async def _exchange(self, discovered: Discovered, code: str, verifier: str) -> str:
        """Exchange a code for an ID token."""
        if self._exchanges >= EXCHANGES:
            raise Unavailable
        self._exchanges += 1
        try:
            answer = await self._client(discovered).fetch_token(
                discovered.token_endpoint, grant_type="authorization_code", code=code, code_verifier=verifier
            )
        except OAuth2Error:
            raise NotAuthenticated("The sign-in provider refused; begin again") from None
        except (FetchError, OSError, ValueError, httpx.HTTPError) as error:
            log.warning("code_not_exchanged", issuer=discovered.issuer, error=type(error).__name__)
            raise Unavailable("The sign-in provider does not answer") from None
        finally:
            self._exchanges -= 1
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise NotAuthenticated
        return token

    def _identity(self, claims: dict[str, Any], nonce: str) -> Identity:
        try:
            token = msgspec.convert(claims, IdToken)
        except msgspec.ValidationError:
            raise NotAuthenticated from None
        now, ours = self._clock(), self._config.client_id
        audiences = [token.aud] if isinstance(token.aud, str) else token.aud
        if (
            ours not in audiences
            or token.azp not in ((ours,) if len(audiences) > 1 else (None, ours))
            or not hmac.compare_digest(token.nonce.encode("utf-8", "replace"), nonce.encode())
            or token.exp <= now
            or not now - ID_TOKEN_SECONDS < token.iat <= now + LEEWAY_SECONDS
            or token.auth_time > now + LEEWAY_SECONDS
            or not is_identifier(token.sub)
        ):
            raise NotAuthenticated
        name = claims.get("name")
        name = readable(name, "")[:_NAME_CHARACTERS].strip() if isinstance(name, str) else ""
        ends = now + self._config.session_seconds
        return Identity(
            self._tenant(claims), token.sub, name, self._roles(claims), now, ends, authenticated_at=float(token.auth_time)
        )

    def _tenant(self, claims: dict[str, Any]) -> str:
        """The tenant that the settings assign. Raises `NotAllowed` if there is none."""
        claim, tenants = claims.get(self._config.tenant_claim), self._config.tenants
        named = tenants.get(claim) if isinstance(claim, str) and claim != ANY_VALUE else None
        tenant = named or tenants.get(ANY_VALUE)
        if tenant is None:
            raise NotAllowed("Your organisation is not set up for this service")
        return tenant

    def _roles(self, claims: dict[str, Any]) -> tuple[str, ...]:
        listed = claims.get(self._config.roles_claim) if self._config.roles_claim else None
        if not isinstance(listed, list):
            return ()
        return tuple(each for each in listed if isinstance(each, str) and len(each) <= 64 and not UNFIT.search(each))[:_MAX_ROLES]  # noqa: PLR2004
