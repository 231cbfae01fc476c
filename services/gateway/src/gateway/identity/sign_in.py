"""The parts of signing in with a browser: the OpenID provider, cookie sessions, and sealed attempts."""

from __future__ import annotations

from gateway.config import Config, SignInConfig
from gateway.identity.cookies import CookieSessions, Seal
from gateway.identity.oidc import Attempt, Provider


class SignIn:
    """The parts, for one provider."""

    def __init__(self, config: SignInConfig, *, public_only: bool) -> None:
        self.config = config
        self.provider = Provider(config, public_only=public_only)
        self.sessions = CookieSessions(config)
        self.attempts = Seal(config.session_keys, "attempt", Attempt)


def make_sign_in(config: Config) -> SignIn | None:
    """The parts, or None if people do not sign in here."""
    if config.sign_in is None:
        return None
    return SignIn(config.sign_in, public_only=config.production)
