"""Who calls the services of the local stack: its gateways, one product to try things with, and whom the person adds.

Leaves judging them to the services, and keeping their keys to `credentials`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from chassis.callers import EVERY_TENANT, CallerConfig, callers
from chassis.identity import GATEWAY, private_key, public_jwk
from chassis.scopes import PRODUCT_SCOPES, Scope
from stack import credentials
from stack.errors import SettingsError
from stack.settings import Settings

CALLERS = "HUBBUB_CALLERS"
GATEWAY_KEY = "HUBBUB_GATEWAY_KEY"
PRODUCT = "product"
"""The name of the one to try things with: it may do whatever a product may, for every tenant."""
_PRODUCT_CALLS_PER_SECOND = 1_000


@dataclass(frozen=True, slots=True)
class Trust:
    """What the processes are told about who calls."""

    services: Mapping[str, str]
    """Variables of the services."""
    gateways: Mapping[str, str]
    """Variables of the gateways."""


def key_file(data: Path, caller: str) -> Path:
    """Return where a caller's private key is kept."""
    return data / "keys" / f"{caller}.pem"


def trust(settings: Settings) -> Trust:
    """Make the keys where there are none. Raises SettingsError for added callers that are not right."""
    pems = {name: credentials.signing_key(key_file(settings.data, name)).read_text() for name in (GATEWAY, PRODUCT)}
    keys = {name: [public_jwk(private_key(pem))] for name, pem in pems.items()}
    products, everywhere = sorted(PRODUCT_SCOPES), [EVERY_TENANT]
    own = [
        CallerConfig(GATEWAY, keys[GATEWAY], list(Scope), everywhere, calls_per_second=0),
        CallerConfig(PRODUCT, keys[PRODUCT], products, everywhere, calls_per_second=_PRODUCT_CALLS_PER_SECOND),
    ]
    try:
        known = callers(msgspec.json.encode([*own, *callers(settings.given(CALLERS) or "[]")]).decode())
    except ValueError as error:
        raise SettingsError(f"{CALLERS} {error}") from None
    return Trust({CALLERS: msgspec.json.encode(known).decode()}, {GATEWAY_KEY: pems[GATEWAY]})
