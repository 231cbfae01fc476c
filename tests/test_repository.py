"""What holds for the repository as a whole: no package registry, machine path or private key in it, and complete lock files."""

import re
import subprocess
import tomllib
from functools import cache
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[1]
_REGISTRIES = [
    "".join(pieces)
    for pieces in (
        ("pypi", ".org"),
        ("python", "hosted.org"),
        ("registry.npm", "js.org"),
        ("registry.yarn", "pkg.com"),
        ("proxy.gol", "ang.org"),
        ("deb.deb", "ian.org"),
    )
]
_MACHINE_PATHS = [rf"(?<![\w.]){re.escape('/' + folder)}/" for folder in ("work", "home", "Users")]
_PRIVATE_KEY = r"-----BEGIN [A-Z ]*PRIVATE KEY"


@cache
def _tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=_ROOT, check=True, capture_output=True, timeout=30)
    return [path for name in listed.stdout.decode().split("\0") if name and (path := _ROOT / name).is_file()]


def _texts() -> list[tuple[str, str]]:
    texts = []
    for path in _tracked():
        content = path.read_bytes()
        if b"\0" not in content:
            texts.append((str(path.relative_to(_ROOT)), content.decode(errors="replace")))
    return texts


@pytest.mark.parametrize("pattern", [*map(re.escape, _REGISTRIES), *_MACHINE_PATHS])
def test_no_file_names_a_package_registry_or_a_path_of_one_machine(pattern: str) -> None:
    assert [name for name, text in _texts() if re.search(pattern, text)] == []


def test_no_file_contains_a_private_key() -> None:
    assert [name for name, text in _texts() if re.search(_PRIVATE_KEY, text)] == []


def test_no_module_has_a_name_that_says_nothing() -> None:
    vague = {"utils", "util", "helpers", "helper", "common", "manager", "base", "core", "misc"}
    assert [path for path in _tracked() if path.suffix in {".py", ".ts", ".tsx"} and path.stem in vague] == []


def _locked(lock: Path) -> set[str]:
    return set(re.findall(r"^([a-z0-9-]+)==", lock.read_text(), re.MULTILINE))


def _depends_on(member: Path) -> set[str]:
    """Return the third-party dependencies of a member and of the members that it uses."""
    named: list[str] = tomllib.loads((member / "pyproject.toml").read_text())["project"]["dependencies"]
    names = {re.split(r"[\[><=~! ;]", each)[0].lower() for each in named}
    own = {name.removeprefix("hubbub-") for name in names if name.startswith("hubbub-")}
    beneath = (_depends_on(_ROOT / ("protos/gen/python" if each == "protos" else f"libs/{each}")) for each in own)
    return {name for name in names if not name.startswith("hubbub-")}.union(*beneath)


@pytest.mark.parametrize("service", ["gateway", "messages", "presence", "media", "integrations"])
def test_each_services_lock_contains_its_dependencies(service: str) -> None:
    member = _ROOT / "services" / service
    assert _depends_on(member) - _locked(member / "requirements.lock") == set()
    assert _depends_on(member) - _locked(_ROOT / "requirements-dev.lock") == set()


@pytest.mark.parametrize(
    ("service", "foreign"),
    [("gateway", "psycopg"), ("gateway", "aiobotocore"), ("presence", "psycopg"), ("messages", "starlette")],
)
def test_no_services_lock_contains_a_dependency_of_another_service_only(service: str, foreign: str) -> None:
    assert foreign not in _locked(_ROOT / "services" / service / "requirements.lock")
