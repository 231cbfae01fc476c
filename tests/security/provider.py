"""A small OpenID provider for tests: discovery and authorization code with PKCE, as strict as a real one.

Its user is already signed in, so the authorize endpoint redirects at once. A test may change what it answers next.
"""

import asyncio
import base64
import contextlib
import hashlib
import json
import secrets
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import uvicorn
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

CLIENT_ID, CLIENT_SECRET = "hubbub-web", "s3cret-of-the-tests"
KEYS: dict[str, RSAKey | ECKey] = {"RS256": RSAKey.generate_key(2048), "ES256": ECKey.generate_key("P-256")}
STRANGERS_KEY = RSAKey.generate_key(2048)


@dataclass(frozen=True, slots=True)
class Grant:
    """What a code stands for; it can be redeemed once."""

    redirect_uri: str
    challenge: str
    nonce: str


@dataclass(slots=True)
class Provider:
    """A provider, and the user at the browser that visits it."""

    url: str
    person: dict[str, Any] = field(default_factory=dict)
    """Claims of the user who signs in."""
    algorithm: str = "RS256"
    spoil: dict[str, Any] = field(default_factory=dict)
    """Claims that replace the correct ones; None omits a claim."""
    key: RSAKey | ECKey | None = None
    """The key that signs instead of the correct one."""
    denies: bool = False
    """Whether the user cancels."""
    grants: dict[str, Grant] = field(default_factory=dict)
    asked: list[dict[str, str]] = field(default_factory=list)
    """The authorization requests, in order."""
    exchanged: int = 0
    """Redeemed codes."""

    def routes(self) -> list[Route]:
        return [
            Route("/.well-known/openid-configuration", self._discovery),
            Route("/authorize", self._authorize),
            Route("/token", self._token, methods=["POST"]),
            Route("/keys", self._keys),
        ]

    async def _discovery(self, _request: Request) -> Response:
        return JSONResponse(
            {
                "issuer": self.url,
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "jwks_uri": f"{self.url}/keys",
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": list(KEYS),
                "code_challenge_methods_supported": ["S256"],
                "token_endpoint_auth_methods_supported": ["client_secret_basic"],
            }
        )

    async def _keys(self, _request: Request) -> Response:
        return JSONResponse({"keys": [{**key.as_dict(private=False), "kid": name} for name, key in KEYS.items()]})

    async def _authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        self.asked.append(asked)
        wanted = {"response_type": "code", "client_id": CLIENT_ID, "code_challenge_method": "S256"}
        if wanted.items() - asked.items() or "openid" not in asked["scope"].split():
            return Response("not a request of our client", 400)
        if self.denies:
            return _back(asked, error="access_denied")
        code = secrets.token_urlsafe(16)
        self.grants[code] = Grant(asked["redirect_uri"], asked["code_challenge"], asked["nonce"])
        return _back(asked, code=code, iss=self.url)

    async def _token(self, request: Request) -> Response:
        scheme, _, credentials = request.headers["authorization"].partition(" ")
        if scheme != "Basic" or base64.b64decode(credentials).decode() != f"{CLIENT_ID}:{CLIENT_SECRET}":
            return JSONResponse({"error": "invalid_client"}, 401)
        async with request.form() as form:
            given = {name: str(value) for name, value in form.items()}
        grant = self.grants.pop(given.get("code", ""), None)
        if grant is None or given["redirect_uri"] != grant.redirect_uri or _challenge(given["code_verifier"]) != grant.challenge:
            return JSONResponse({"error": "invalid_grant"}, 400)
        self.exchanged += 1
        answer = {"access_token": secrets.token_urlsafe(16), "token_type": "Bearer", "id_token": self._id_token(grant.nonce)}
        return JSONResponse(answer, headers={"Cache-Control": "no-store"})

    def now(self) -> int:
        """The provider's clock."""
        return int(time.time())

    def _id_token(self, nonce: str) -> str:
        now = self.now()
        said = {"iss": self.url, "aud": CLIENT_ID, "iat": now, "exp": now + 300, "nonce": nonce, **self.person, **self.spoil}
        claims = {name: value for name, value in said.items() if value is not None}
        header = {"alg": self.algorithm, "kid": self.algorithm, "typ": "JWT"}
        key = self.key or KEYS[self.algorithm]
        return jws.serialize_compact(header, json.dumps(claims).encode(), key, algorithms=[self.algorithm])


@contextlib.asynccontextmanager
async def running() -> AsyncIterator[Provider]:
    """A provider on a loopback port."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        provider = Provider(f"http://127.0.0.1:{listening.getsockname()[1]}")
        config = uvicorn.Config(Starlette(routes=provider.routes()), log_level="warning", lifespan="off")
        server = uvicorn.Server(config)
        async with asyncio.TaskGroup() as group:
            group.create_task(server.serve(sockets=[listening]))
            yield provider
            server.should_exit = True


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _back(asked: dict[str, str], **said: str) -> Response:
    return RedirectResponse(f"{asked['redirect_uri']}?{urlencode({'state': asked['state'], **said})}", 303)
