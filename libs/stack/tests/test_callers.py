"""Who may call the services of the local stack."""

import json
from pathlib import Path

import pytest
from joserfc.jwk import OKPKey

from chassis.callers import callers
from chassis.identity import private_key, public_jwk
from chassis.scopes import Scope
from stack.callers import CALLERS, GATEWAY_KEY, Trust, trust
from stack.errors import SettingsError
from stack.settings import Settings

SHOP = {"name": "shop", "keys": [public_jwk(OKPKey.generate_key("Ed25519"))], "scopes": ["messages:read"], "tenants": ["acme"]}


def told(data: Path, added: str = "") -> Trust:
    return trust(Settings.read({"HUBBUB_DATA": str(data), CALLERS: added}, data))


def test_the_gateways_and_one_product_are_known_by_keys_that_last(tmp_path: Path) -> None:
    first = told(tmp_path)
    gateway, product = callers(first.services[CALLERS])
    assert (gateway.name, set(gateway.scopes)) == ("gateway", set(Scope))
    assert (product.name, set(product.scopes)) == ("product", set(Scope) - {Scope.GATEWAY})
    assert gateway.keys == [public_jwk(private_key(first.gateways[GATEWAY_KEY]))]
    assert told(tmp_path) == first


def test_callers_of_ones_own_are_added(tmp_path: Path) -> None:
    *_, shop = callers(told(tmp_path, json.dumps([SHOP])).services[CALLERS])
    assert (shop.name, shop.keys, shop.tenants) == ("shop", SHOP["keys"], ["acme"])


@pytest.mark.parametrize("added", ["x", json.dumps([{**SHOP, "scopes": ["gateway"]}]), json.dumps([{**SHOP, "name": "gateway"}])])
def test_callers_that_are_not_right_are_one_clear_line(tmp_path: Path, added: str) -> None:
    with pytest.raises(SettingsError, match=r"^HUBBUB_CALLERS must be"):
        told(tmp_path, added)
