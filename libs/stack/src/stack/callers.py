"""The callers of the local stack's services: its gateways, a product for experiments, and those that the user adds.

`credentials` keeps their keys.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from chassis.callers import EVERY_TENANT, CallerConfig, callers
from chassis.identity import GATEWAY, INTEGRATIONS, MESSAGES, private_key, public_jwk
from chassis.scopes import GATEWAY_SCOPES, PRODUCT_SCOPES, Scope
from stack import credentials
from stack.errors import SettingsError
from stack.settings import Settings

CALLERS = "HUBBUB_CALLERS"
GATEWAY_KEY = "HUBBUB_GATEWAY_KEY"
MESSAGES_KEY = "HUBBUB_MESSAGES_KEY"
INTEGRATIONS_KEY = "HUBBUB_INTEGRATIONS_KEY"
PRODUCT = "product"
"""The name of the product for experiments. It has every scope of products, for all tenants."""
_PRODUCT_CALLS_PER_SECOND = 1_000
_INTEGRATIONS_SCOPES = [Scope.FEED, Scope.CHANNELS_READ, Scope.MESSAGES_READ, Scope.MESSAGES_WRITE]
_OWN = (GATEWAY, MESSAGES, INTEGRATIONS, PRODUCT)


@dataclass(frozen=True, slots=True)
class CallerVariables:
    """Environment variables that configure callers and their keys."""

    services: Mapping[str, str]
    gateways: Mapping[str, str]
    messages: Mapping[str, str]
    integrations: Mapping[str, str]


def key_file(data: Path, caller: str) -> Path:
    """Return the file of a caller's private key."""
    return data / "keys" / f"{caller}.pem"


def caller_variables(settings: Settings) -> CallerVariables:
    """Return the variables, creating missing keys. Raises SettingsError if the added callers are invalid."""
    pems = {name: credentials.signing_key(key_file(settings.data, name)).read_text() for name in _OWN}
    keys = {name: [public_jwk(private_key(pem))] for name, pem in pems.items()}
    products, everywhere = sorted(PRODUCT_SCOPES), [EVERY_TENANT]
    own = [
        CallerConfig(GATEWAY, keys[GATEWAY], sorted(GATEWAY_SCOPES), everywhere, calls_per_second=0),
        CallerConfig(MESSAGES, keys[MESSAGES], [Scope.MEDIA_READ], everywhere, calls_per_second=0),
        CallerConfig(INTEGRATIONS, keys[INTEGRATIONS], _INTEGRATIONS_SCOPES, everywhere, calls_per_second=0),
        CallerConfig(PRODUCT, keys[PRODUCT], products, everywhere, calls_per_second=_PRODUCT_CALLS_PER_SECOND),
    ]
    try:
        known = callers(msgspec.json.encode([*own, *callers(settings.given(CALLERS) or "[]")]).decode())
    except ValueError as error:
        raise SettingsError(f"{CALLERS} {error}") from None
    encoded = msgspec.json.encode(known).decode()
    return CallerVariables(
        services={CALLERS: encoded},
        gateways={GATEWAY_KEY: pems[GATEWAY]},
        messages={MESSAGES_KEY: pems[MESSAGES]},
        integrations={INTEGRATIONS_KEY: pems[INTEGRATIONS]},
    )
