"""The documents name existing files, settings and secrets."""

import dataclasses
import json
import re
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import OKPKey

from chassis.callers import callers
from chassis.config import ProcessConfig
from chassis.identity import public_jwk
from chassis.scopes import GATEWAY_SCOPES, NEEDED, Scope
from stack import redis_users
from tests.deploy.manifests import COMPONENTS, JOBS, ROOT, named, pod, secrets
from tests.deploy.test_settings import CONFIGS, config_of

OPERATIONS = ROOT / "docs" / "operations.md"
JOURNEYS = (ROOT / "README.md", ROOT / "docs" / "flow.md")
SHORT = {f"messages-{name}": name for name in ("api", "worker", "search", "feed", "migrate")}
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def rows(page: Path, heading: str) -> list[list[str]]:
    """The cells of the tables below a heading, without header rows."""
    section = re.split(rf"^## {heading}$", page.read_text(), flags=re.MULTILINE)[1].split("\n## ")[0]
    lines = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in cells] for cells in lines if not cells[0].startswith("---")][1:]


def shown(field: dataclasses.Field[Any]) -> str:
    """A default in the notation of the settings table."""
    if field.default is dataclasses.MISSING:
        return "required"
    if isinstance(field.default, bool):
        return f"`{int(field.default)}`"
    return f"`{field.default}`" if field.default not in (None, "", (), frozenset()) else "none"


def test_the_settings_table_lists_what_the_processes_read() -> None:
    readers: dict[str, set[str]] = defaultdict(set)
    defaults: dict[str, set[str]] = defaultdict(set)
    general = {field.metadata["setting"].name for field in dataclasses.fields(ProcessConfig)}
    for process in CONFIGS:
        for field in dataclasses.fields(config_of(process)):
            name = field.metadata["setting"].name
            readers[name].add("all" if name in general else SHORT.get(process, process))
            defaults[name].add(shown(field))
    table = {row[0].strip("`"): row for row in rows(OPERATIONS, "Settings")}
    assert table.keys() == readers.keys()
    for name, row in table.items():
        assert set(row[1].split(", ")) == readers[name], name
        assert row[2] in defaults[name], name
        assert row[3], name


def test_the_table_of_secrets_lists_what_the_manifests_use() -> None:
    table = {(row[0].strip("`"), key.strip("`")) for row in rows(OPERATIONS, "Secrets") for key in row[1].split(", ")}
    assert table == set(secrets("prod"))
    for row in rows(OPERATIONS, "Secrets"):
        for process in row[2].split(", "):
            workload = named("prod", "Job" if process in JOBS else "Deployment", process)
            references = [each["valueFrom"].get("secretKeyRef", {}) for each in pod(workload)["containers"][0]["env"]]
            assert row[0].strip("`") in {each.get("name") for each in references}
    assert {process for row in rows(OPERATIONS, "Secrets") for process in row[2].split(", ")} == {*COMPONENTS, *JOBS}


def test_the_redis_users_have_the_rules_of_the_local_stack() -> None:
    found = dict(re.findall(r"^user (\S+) on #<SHA-256 of the password> (.+)$", OPERATIONS.read_text(), re.MULTILINE))
    assert found == redis_users.RULES


@pytest.mark.parametrize("page", JOURNEYS, ids=lambda page: page.name)
def test_every_path_in_a_document_exists(page: Path) -> None:
    quoted = re.findall(r"`([\w./-]+/[\w.-]+\.(?:py|ts|tsx|sql|lua|proto|md|yaml))`", page.read_text())
    assert len(quoted) > 10
    for name in quoted:
        places = [ROOT / name, *ROOT.glob(f"*/*/src/{name}"), *ROOT.glob(f"services/*/src/*/{name}")]
        assert any(place.exists() for place in places), name


def test_every_folder_on_the_map_exists() -> None:
    folders = {row[0].strip("`") for row in rows(ROOT / "README.md", "The parts")}
    assert len(folders) > 10
    assert all((ROOT / folder).is_dir() for folder in folders)


def test_every_adr_that_the_code_names_exists() -> None:
    numbers = {name[:4] for name in (file.name for file in (ROOT / "docs" / "adr").glob("[0-9]*.md"))}
    for source in [*ROOT.glob("libs/*/src/**/*.py"), *ROOT.glob("services/*/src/**/*.py")]:
        assert set(re.findall(r"docs/adr/([0-9]{4})", source.read_text())) <= numbers, source


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_has_a_target(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if target.startswith(("http://", "https://")):
            continue
        file, _, anchor = target.partition("#")
        found = (page.parent / file).resolve() if file else page
        assert found.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", found.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", each).strip().lower().replace(" ", "-") for each in headings}, target


def test_every_adr_is_in_the_index() -> None:
    pages = {file.name for file in (ROOT / "docs" / "adr").glob("[0-9]*.md")}
    listed = re.findall(r"\(([0-9]{4}-[a-z0-9-]+\.md)\)", (ROOT / "docs" / "adr" / "README.md").read_text())
    assert set(listed) == pages
    assert len(listed) == len(pages)
    for name in pages:
        text = (ROOT / "docs" / "adr" / name).read_text()
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]


def test_the_documented_scopes_are_those_that_the_services_require() -> None:
    documented = {row[0].strip("`"): set(re.findall(r"`(\w+)`", row[1])) for row in rows(ROOT / "docs" / "grpc.md", "Scopes")}
    assert documented == {
        scope: {path.rpartition("/")[2] for path, needed in NEEDED.items() if needed.scope is scope} for scope in Scope
    }


def test_the_example_of_callers_is_valid() -> None:
    (example,) = re.findall(r"```json\n(.*?)```", OPERATIONS.read_text().split("## Who calls")[1], re.DOTALL)
    key = json.dumps(public_jwk(OKPKey.generate_key("Ed25519")))
    gateway, _ = callers(re.sub(r"{\"kty\".*?}", key, example))
    assert set(gateway.scopes) == GATEWAY_SCOPES


def test_the_programs_for_other_products_need_only_grpc_the_protos_and_a_jwt_library() -> None:
    snippets = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "grpc.md").read_text(), re.DOTALL)
    assert len(snippets) == 2
    for snippet in snippets:
        compile(snippet, "docs/grpc.md", "exec")
        imported = re.findall(r"^(?:import|from) (\w+)", snippet, re.MULTILINE)
        assert set(imported) - sys.stdlib_module_names == {"grpc", "hubbub", "joserfc"}
