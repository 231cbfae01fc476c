"""The development overlay's key is created at the first start, known to every service, and kept; none is in the repository."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from chassis.callers import EVERY_TENANT, Callers, callers
from chassis.config import load
from chassis.identity import GATEWAY, INTEGRATIONS, MESSAGES, Identity, private_key
from chassis.scopes import GATEWAY_SCOPES, NEEDED, Scope
from tests.deploy import kubectl_stand_in
from tests.deploy.manifests import K8S, ROOT
from tests.deploy.test_settings import MADE_IN_THE_CLUSTER, config_of, variables_of

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed; only `skaffold dev` needs it")

SCRIPTS = K8S / "overlays" / "dev" / "identities"
_DEADLINE_SECONDS = 30


def run(script: str, *arguments: str, **environment: str) -> None:
    command = ["sh", str(SCRIPTS / script), *arguments]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=_DEADLINE_SECONDS, env={**os.environ, **environment}
    )
    if done.returncode:
        raise RuntimeError(done.stderr)


class Cluster:
    """A folder that replaces the cluster, and the hook that runs against it."""

    def __init__(self, folder: Path) -> None:
        self._state = folder / "state"
        self._programs = folder / "bin"
        self._temporary = folder / "tmp"
        for each in (self._state, self._programs, self._temporary):
            each.mkdir()
        kubectl = self._programs / "kubectl"
        kubectl.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{kubectl_stand_in.__file__}" "$@"\n')
        kubectl.chmod(0o700)

    def hook(self) -> dict[tuple[str, str], str]:
        """Run the hook; returns the secrets afterwards."""
        path = f"{self._programs}{os.pathsep}{os.environ['PATH']}"
        variables = {"PATH": path, "CLUSTER": str(self._state), "TMPDIR": str(self._temporary), "SKAFFOLD_KUBE_CONTEXT": "kind"}
        try:
            run("hook.sh", **variables)
        finally:
            assert list(self._temporary.iterdir()) == []
        return {(file.parent.name, file.name): file.read_text() for file in self._state.glob("secrets/*/*")}

    def lose(self, secret: str) -> None:
        shutil.rmtree(self._state / "secrets" / secret)

    def end(self) -> None:
        """Let the namespace be terminating, as it is for a while after `skaffold delete`."""
        (self._state / "phase").write_text("Terminating")


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    return Cluster(tmp_path)


def test_the_created_identity_is_a_gateway_with_all_scopes_and_tenants(tmp_path: Path) -> None:
    run("make.sh", str(tmp_path))
    made, messages, integrations = known = callers((tmp_path / "callers.json").read_text())
    assert (made.name, made.tenants, made.calls_per_second) == (GATEWAY, [EVERY_TENANT], 0)
    identity = Identity(GATEWAY, private_key((tmp_path / "gateway.pem").read_text()))
    assert Callers(known).identify([identity.credential("messages")]).scopes == GATEWAY_SCOPES
    assert (messages.name, messages.scopes, messages.tenants) == (MESSAGES, [Scope.MEDIA_READ], [EVERY_TENANT])
    assert (integrations.name, integrations.scopes, integrations.tenants) == (
        INTEGRATIONS,
        [Scope.FEED, Scope.CHANNELS_READ, Scope.MESSAGES_READ, Scope.MESSAGES_WRITE],
        [EVERY_TENANT],
    )
    service = Identity(MESSAGES, private_key((tmp_path / "messages.pem").read_text()))
    assert Callers(known).identify([service.credential("media")]).scopes == {Scope.MEDIA_READ}


def test_the_key_is_readable_by_its_owner_only_and_never_replaced(tmp_path: Path) -> None:
    run("make.sh", str(tmp_path))
    made = {file: file.read_text() for file in tmp_path.iterdir()}
    assert {file.stat().st_mode & 0o777 for file in made} == {0o600}
    with pytest.raises(RuntimeError, match=r"gateway\.pem"):
        run("make.sh", str(tmp_path))
    assert {file: file.read_text() for file in tmp_path.iterdir()} == made


def test_every_service_knows_the_development_gateway(cluster: Cluster, tmp_path: Path) -> None:
    made = cluster.hook()
    assert made.keys() == MADE_IN_THE_CLUSTER
    secrets = {
        "HUBBUB_GATEWAY_KEY": made["gateway-identity", "gateway.pem"],
        "HUBBUB_MESSAGES_KEY": made["messages-identity", "messages.pem"],
        "HUBBUB_INTEGRATIONS_KEY": made["integrations-identity", "integrations.pem"],
        "HUBBUB_INTEGRATIONS_KEYS": made["integrations-keys", "keys"],
        "HUBBUB_CALLERS": made["callers", "callers.json"],
    }

    def started(process: str) -> Any:
        given = variables_of("dev", process, tmp_path)
        return load(config_of(process), {**given, **{name: secrets[name] for name in secrets.keys() & given.keys()}})

    gateway = started("gateway")
    for process in ("messages-api", "presence", "media", "integrations"):
        known = Callers(started(process).callers)
        for needed in (each for each in NEEDED.values() if each.scope in GATEWAY_SCOPES):
            known.identify([gateway.identity.credential(needed.audience)]).authorize(needed)


def test_a_cluster_keeps_its_key(cluster: Cluster) -> None:
    assert cluster.hook() == cluster.hook()


@pytest.mark.parametrize(
    "lost", ["gateway-identity", "messages-identity", "integrations-identity", "integrations-keys", "callers"]
)
def test_a_single_secret_is_replaced_by_a_matching_pair(cluster: Cluster, lost: str) -> None:
    before = cluster.hook()
    cluster.lose(lost)
    after = cluster.hook()
    assert after.keys() == before.keys()
    assert not set(after.values()) & set(before.values())


def test_a_terminating_namespace_is_awaited_and_created_again(cluster: Cluster) -> None:
    before = cluster.hook()
    cluster.end()
    after = cluster.hook()
    assert after.keys() == before.keys()
    assert not set(after.values()) & set(before.values())


def test_skaffold_creates_identities_first() -> None:
    hooks = yaml.safe_load((ROOT / "skaffold.yaml").read_text())["deploy"]["kubectl"]["hooks"]["before"]
    assert hooks[0]["host"]["command"] == ["sh", str((SCRIPTS / "hook.sh").relative_to(ROOT))]
