"""Callers of the local stack's services."""

import json
from pathlib import Path

import pytest
from joserfc.jwk import OKPKey

from chassis.callers import callers
from chassis.identity import private_key, public_jwk
from chassis.scopes import Scope
from stack.callers import CALLERS, GATEWAY_KEY, INTEGRATIONS_KEY, MESSAGES_KEY, CallerVariables, caller_variables
from stack.errors import SettingsError
from stack.settings import Settings

SHOP = {"name": "shop", "keys": [public_jwk(OKPKey.generate_key("Ed25519"))], "scopes": ["messages:read"], "tenants": ["acme"]}


def variables(data: Path, added: str = "") -> CallerVariables:
    return caller_variables(Settings.read({"HUBBUB_DATA": str(data), CALLERS: added}, data))


def test_our_services_and_one_product_have_persistent_keys(tmp_path: Path) -> None:
    first = variables(tmp_path)
    gateway, messages, integrations, product = callers(first.services[CALLERS])
    assert (gateway.name, set(gateway.scopes)) == ("gateway", set(Scope) - {Scope.FEED})
    assert (messages.name, messages.scopes) == ("messages", [Scope.MEDIA_READ])
    assert messages.keys == [public_jwk(private_key(first.messages[MESSAGES_KEY]))]
    assert (integrations.name, integrations.scopes) == (
        "integrations",
        [Scope.FEED, Scope.CHANNELS_READ, Scope.MESSAGES_READ, Scope.MESSAGES_WRITE],
    )
    assert integrations.keys == [public_jwk(private_key(first.integrations[INTEGRATIONS_KEY]))]
    assert (product.name, set(product.scopes)) == ("product", set(Scope) - {Scope.GATEWAY})
    assert gateway.keys == [public_jwk(private_key(first.gateways[GATEWAY_KEY]))]
    assert variables(tmp_path) == first


def test_the_users_callers_are_added(tmp_path: Path) -> None:
    *_, shop = callers(variables(tmp_path, json.dumps([SHOP])).services[CALLERS])
    assert (shop.name, shop.keys, shop.tenants) == ("shop", SHOP["keys"], ["acme"])


@pytest.mark.parametrize("added", ["x", json.dumps([{**SHOP, "scopes": ["gateway"]}]), json.dumps([{**SHOP, "name": "gateway"}])])
def test_invalid_callers_are_reported(tmp_path: Path, added: str) -> None:
    with pytest.raises(SettingsError, match=r"^HUBBUB_CALLERS must be"):
        variables(tmp_path, added)
