"""The manifests give each process every variable that it needs and none that it does not know.

The processes' own configuration classes read them.
"""

import base64
import dataclasses
import importlib
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from joserfc.jwk import OKPKey

from chassis.callers import EVERY_TENANT, CallerConfig
from chassis.config import ConfigError, ProcessConfig, load, names, secret
from chassis.identity import GATEWAY, public_jwk
from chassis.scopes import Scope
from tests.deploy.dockerfile import stages
from tests.deploy.kustomize import Document
from tests.deploy.manifests import COMPONENTS, JOBS, K8S, OVERLAYS, ROOT, environment, named, of_kind, pod, secrets

CONFIGS = {
    "gateway": ("gateway", "gateway.config", "Config"),
    "messages-api": ("messages", "messages.config", "ApiConfig"),
    "messages-worker": ("messages", "messages.config", "WorkerConfig"),
    "messages-search": ("messages", "messages.config", "SearchConfig"),
    "messages-feed": ("messages", "messages.config", "FeedConfig"),
    "messages-migrate": ("messages", "messages.config", "MigrateConfig"),
    "presence": ("presence", "presence.config", "Config"),
    "media": ("media", "media.config", "Config"),
    "media-migrate": ("media", "media.config", "MigrateConfig"),
    "integrations": ("integrations", "integrations.config", "Config"),
    "integrations-migrate": ("integrations", "integrations.config", "MigrateConfig"),
}
"""Each process, with its service and the class that declares its settings."""
KEY = OKPKey.generate_key("Ed25519")
SECRETS = {
    "HUBBUB_GATEWAY_KEY": KEY.as_pem(private=True).decode(),
    "HUBBUB_MESSAGES_KEY": KEY.as_pem(private=True).decode(),
    "HUBBUB_SESSION_KEYS": os.urandom(32).hex(),
    "HUBBUB_INTEGRATIONS_KEY": KEY.as_pem(private=True).decode(),
    "HUBBUB_INTEGRATIONS_KEYS": base64.urlsafe_b64encode(os.urandom(32)).decode(),
    "HUBBUB_MESSAGES_AUDIT_KEY": KEY.as_pem(private=True).decode(),
    "HUBBUB_BUS_URL": "rediss://user:password@host",
    "HUBBUB_PRESENCE_REDIS_URL": "rediss://user:password@host",
    "HUBBUB_CALLERS": msgspec.json.encode([CallerConfig(GATEWAY, [public_jwk(KEY)], list(Scope), [EVERY_TENANT])]).decode(),
}
"""Placeholders for secrets that need a certain form; any other is an address."""
SECRET = "postgresql://user:password@host/name?sslmode=verify-full"
MADE_IN_THE_CLUSTER = {
    ("gateway-identity", "gateway.pem"),
    ("messages-identity", "messages.pem"),
    ("integrations-identity", "integrations.pem"),
    ("integrations-keys", "keys"),
    ("callers", "callers.json"),
}
"""Secrets that identities/hook.sh creates in the development overlay."""
OPTIONAL = {("audit-key", "audit.pem")}
"""Secrets that the development overlay does without."""

overlays = pytest.mark.parametrize("overlay", OVERLAYS)
processes = pytest.mark.parametrize("process", [*COMPONENTS, *JOBS])


def config_of(process: str) -> type[ProcessConfig]:
    _, module, name = CONFIGS[process]
    found: type[ProcessConfig] = getattr(importlib.import_module(module), name)
    return found


def workload(overlay: str, process: str) -> Document:
    return named(overlay, "Job" if process in JOBS else "Deployment", process)


def variables_of(overlay: str, process: str, folder: Path) -> Mapping[str, str]:
    """The environment of a process from its image and the manifests; folders of the image are mapped to existing ones."""
    image = stages(ROOT / "services" / CONFIGS[process][0] / "Dockerfile")[-1].environment
    given = {name: value for name, value in image.items() if name.startswith("HUBBUB_")} | environment(
        overlay, workload(overlay, process)
    )
    stand_ins = {"/srv/web": str(folder)}
    return {name: SECRETS.get(name, SECRET) if value is None else stand_ins.get(value, value) for name, value in given.items()}


@overlays
@processes
def test_a_process_gets_no_unknown_variable(overlay: str, process: str, tmp_path: Path) -> None:
    assert variables_of(overlay, process, tmp_path).keys() <= names(config_of(process))


@overlays
@processes
def test_a_process_can_start_with_its_variables(overlay: str, process: str, tmp_path: Path) -> None:
    config: Any = load(config_of(process), variables_of(overlay, process, tmp_path))
    assert config.env == ("local" if overlay == "dev" else "production")


@overlays
def test_all_processes_on_the_bus_have_the_same_number_of_partitions(overlay: str, tmp_path: Path) -> None:
    on_the_bus = [process for process in COMPONENTS if "HUBBUB_BUS_URL" in names(config_of(process))]
    assert len(on_the_bus) == 5
    assert len({variables_of(overlay, process, tmp_path)["HUBBUB_BUS_PARTITIONS"] for process in on_the_bus}) == 1


@pytest.mark.parametrize("process", ["messages-api", "messages-feed", "presence", "media", "integrations"])
def test_no_service_starts_without_callers(process: str, tmp_path: Path) -> None:
    given = {**variables_of("prod", process, tmp_path), "HUBBUB_CALLERS": ""}
    with pytest.raises(ConfigError, match="HUBBUB_CALLERS is required"):
        load(config_of(process), given)
    with pytest.raises(ConfigError, match="HUBBUB_CALLERS is required"):
        load(config_of(process), {**given, "HUBBUB_ENV": "local"})
    listen = next(name for name in given if name.endswith("_LISTEN") and name != "HUBBUB_OPS_LISTEN")
    load(config_of(process), {**given, "HUBBUB_ENV": "local", listen: "127.0.0.1:9000"})


@pytest.mark.parametrize("key", ["", "x"])
def test_no_gateway_starts_in_production_without_a_key_of_its_own(key: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="HUBBUB_GATEWAY_KEY"):
        load(config_of("gateway"), {**variables_of("prod", "gateway", tmp_path), "HUBBUB_GATEWAY_KEY": key})


def test_development_logins_are_off_in_production(tmp_path: Path) -> None:
    given = variables_of("prod", "gateway", tmp_path)
    assert not given.keys() & {"HUBBUB_DEV_LOGIN", "HUBBUB_DEV_KEY_FILE"}


def test_secret_settings_come_from_secrets() -> None:
    """A setting that the service declares as secret is never in a ConfigMap."""
    declared = {
        field.metadata["setting"].name
        for process in CONFIGS
        for field in dataclasses.fields(config_of(process))
        if field.metadata["setting"].parse is secret
    }
    assert "HUBBUB_BUS_URL" in declared
    for overlay in OVERLAYS:
        assert not declared & {key for each in of_kind(overlay, "ConfigMap") for key in each["data"]}


def test_development_creates_every_secret_that_production_needs() -> None:
    rendered = {(each["metadata"]["name"], key) for each in of_kind("dev", "Secret") for key in each["data"]}
    assert not rendered & MADE_IN_THE_CLUSTER
    assert set(secrets("prod")) <= rendered | MADE_IN_THE_CLUSTER | OPTIONAL


@overlays
@processes
def test_every_container_runs_an_existing_command(overlay: str, process: str) -> None:
    entry = stages(ROOT / "services" / CONFIGS[process][0] / "Dockerfile")[-1].entrypoint
    args = pod(workload(overlay, process))["containers"][0].get("args", [])
    assert entry == ["python", "-m", CONFIGS[process][0]]
    commands = {"messages-api": ["api"], "messages-worker": ["worker"], "messages-search": ["search"], "messages-feed": ["feed"]}
    assert args == (["migrate"] if process in JOBS else commands.get(process, [])), shlex.join(args)


def test_every_settings_file_is_used() -> None:
    used = {
        (file.parent / name).resolve()
        for file in K8S.rglob("kustomization.yaml")
        for generator in yaml.safe_load(file.read_text()).get("configMapGenerator", [])
        for name in generator.get("envs", [])
    }
    assert used == set(K8S.rglob("*.env"))


@pytest.mark.parametrize(
    ("process", "variable", "value"),
    [
        ("gateway", "HUBBUB_BUS_URL", "redis://gateway:x@bus:6379/0"),
        ("gateway", "HUBBUB_BUS_URL", "redis://gateway:x@127.0.0.1.example/0"),
        ("messages-api", "HUBBUB_BUS_URL", "redis://bus"),
        ("messages-worker", "HUBBUB_BUS_URL", "redis://10.0.0.1"),
        ("messages-search", "HUBBUB_BUS_URL", "redis://10.0.0.1"),
        ("messages-search", "HUBBUB_MESSAGES_SWEEPER_DATABASE_URL", ""),
        ("presence", "HUBBUB_PRESENCE_REDIS_URL", "redis://presence"),
        ("messages-api", "HUBBUB_MESSAGES_DATABASE_URL", "postgresql://u:p@db/messages"),
        ("messages-api", "HUBBUB_MESSAGES_DATABASE_URL", "postgresql://u:p@db/messages?sslmode=require"),
        ("messages-api", "HUBBUB_MESSAGES_DATABASE_URL", "postgresql://u:p@127.0.0.1,db/messages"),
        ("messages-api", "HUBBUB_MESSAGES_DATABASE_URL", "postgresql://u:p@127.0.0.1/messages?hostaddr=10.0.0.1"),
        ("messages-api", "HUBBUB_MESSAGES_DATABASE_URL", "postgresql:///messages"),
        ("messages-worker", "HUBBUB_MESSAGES_SWEEPER_DATABASE_URL", "host=db sslmode=verify-ca"),
        ("messages-migrate", "HUBBUB_MESSAGES_MIGRATION_DATABASE_URL", "postgresql://u:p@db/messages?sslmode=prefer"),
        ("media", "HUBBUB_MEDIA_DATABASE_URL", "postgresql://u:p@db/media"),
        ("media", "HUBBUB_MEDIA_SWEEPER_DATABASE_URL", "postgresql://u:p@db/media"),
        ("media-migrate", "HUBBUB_MEDIA_MIGRATION_DATABASE_URL", "postgresql://u:p@db/media"),
        ("messages-api", "HUBBUB_MESSAGES_SWEEPER_DATABASE_URL", ""),
        ("media", "HUBBUB_MEDIA_SWEEPER_DATABASE_URL", ""),
        ("messages-migrate", "HUBBUB_MESSAGES_MIGRATION_DATABASE_URL", ""),
        ("media-migrate", "HUBBUB_MEDIA_MIGRATION_DATABASE_URL", ""),
    ],
)
def test_production_refuses_a_store_in_the_clear_and_a_missing_role(
    process: str, variable: str, value: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=f"^{variable} [^\n]*$"):
        load(config_of(process), {**variables_of("prod", process, tmp_path), variable: value})


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
def test_production_takes_stores_on_loopback_without_tls(host: str, tmp_path: Path) -> None:
    load(config_of("gateway"), {**variables_of("prod", "gateway", tmp_path), "HUBBUB_BUS_URL": f"redis://u:p@{host}:1/0"})
    url = f"postgresql://u:p@{host}:1/d"
    load(config_of("media"), {**variables_of("prod", "media", tmp_path), "HUBBUB_MEDIA_DATABASE_URL": url})


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("HUBBUB_ALLOWED_ORIGINS", "https://shop.example,http://shop.example"),
        ("HUBBUB_WIDGET_ORIGINS", '{"acme": ["http://shop.example"]}'),
        ("HUBBUB_SESSION_KEYS", "a" * 32),
        ("HUBBUB_SESSION_KEYS", "0123456789abcdef0123456789abcdef," + "ab" * 20),
    ],
)
def test_production_refuses_plain_origins_and_keys_that_are_not_random(variable: str, value: str, tmp_path: Path) -> None:
    issuer = {
        "HUBBUB_OIDC_ISSUER": "https://id.example",
        "HUBBUB_OIDC_CLIENT_ID": "hubbub",
        "HUBBUB_OIDC_REDIRECT_BASE": "https://chat.example",
        "HUBBUB_OIDC_TENANTS": '{"acme": "acme"}',
    }
    given = {**variables_of("prod", "gateway", tmp_path), **issuer}
    load(config_of("gateway"), given)
    with pytest.raises(ConfigError):
        load(config_of("gateway"), {**given, variable: value})
