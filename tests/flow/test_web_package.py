"""The package `@hubbub/client` as `npm pack` makes it: its files, its size, its types, and its example in Node.js and Chromium.

`HUBBUB_NODES` names the Node.js programs to test, separated like PATH; by default the `node` of PATH.
"""

import asyncio
import gzip
import json
import os
import re
import subprocess
import tarfile
from asyncio.subprocess import PIPE, STDOUT
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.async_api import Browser, Route

from stack import Stack

ROOT = Path(__file__).parents[2]
WEB = ROOT / "web"
SOURCE = WEB / "client"
NODES = os.environ.get("HUBBUB_NODES", "node").split(os.pathsep)
SECONDS = 60
MOST_BYTES = 10_000
"""Of what a product loads for `index`, after gzip."""
SAID = re.compile(r"Stored as entry \d+\. You said: Hello!\n?")
"""What the example prints."""
_START = """() => {
    const script = (type, more) => document.head.append(Object.assign(document.createElement("script"), { type, ...more }));
    const imports = { "@hubbub/client": "/sdk/dist/index.js", "@hubbub/client/signin": "/sdk/dist/signin.js" };
    script("importmap", { textContent: JSON.stringify({ imports }) });
    script("module", { src: "/sdk/example.js" });
}"""
"""Runs the example in a page."""


@dataclass(frozen=True, slots=True)
class Package:
    """The package in the `node_modules` of a product."""

    product: Path
    folder: Path
    files: frozenset[str]

    def entries(self, condition: str) -> dict[str, str]:
        """The file of each entry under a condition of `exports`."""
        exports = json.loads((self.folder / "package.json").read_text())["exports"]
        return {name: target[condition] for name, target in exports.items() if isinstance(target, dict)}


async def run(*command: str | Path, cwd: Path) -> str:
    """Run a program; returns what it prints. Fails unless it exits with 0 within a minute."""
    process = await asyncio.create_subprocess_exec(*command, cwd=cwd, stdout=PIPE, stderr=STDOUT)
    try:
        async with asyncio.timeout(SECONDS):
            printed, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        raise
    assert process.returncode == 0, printed.decode()[-2_000:]
    return printed.decode()


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """What `npm pack` makes, installed beside the package `ws`."""
    assert (SOURCE / "dist" / "index.js").exists(), "build it: make client"
    product = tmp_path_factory.mktemp("product")
    subprocess.run(["npm", "pack", SOURCE, "--pack-destination", product], check=True, capture_output=True, timeout=SECONDS)
    (archive,) = product.glob("*.tgz")
    scope = product / "node_modules" / "@hubbub"
    scope.mkdir(parents=True)
    with tarfile.open(archive) as packed:
        packed.extractall(scope, filter="data")
    folder = (scope / "package").rename(scope / "client")
    (product / "node_modules" / "ws").symlink_to(WEB / "node_modules" / "ws")
    files = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}
    return Package(product, folder, frozenset(files))


def test_the_package_holds_its_entries_their_types_and_its_pages(package: Package) -> None:
    code = {target.removeprefix("./") for target in package.entries("default").values()}
    maps = {f"{file}.map" for file in code}
    types = {file for file in package.files if file.endswith(".d.ts")}
    pages = {"package.json", "README.md", "CHANGELOG.md", "LICENSE", "example.js"}
    assert package.files - types == code | maps | pages
    assert types >= {target.removeprefix("./") for target in package.entries("types").values()}
    assert (package.folder / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_the_changelog_describes_the_version(package: Package) -> None:
    manifest = json.loads((package.folder / "package.json").read_text())
    assert f"## {manifest['version']}" in (package.folder / "CHANGELOG.md").read_text()
    assert "dependencies" not in manifest


def test_index_is_one_small_file_and_no_other_entry_holds_a_second_copy_of_it(package: Package) -> None:
    for target in package.entries("default").values():
        code = (package.folder / target).read_text()
        imports = set(re.findall(r'(?:from|import)\s*\(?"([^"]+)"', code))
        if target == "./dist/index.js":
            assert not imports
            assert len(gzip.compress(code.encode(), 9)) <= MOST_BYTES
        else:
            assert imports <= {"./index.js"}
            assert "extends Error" not in code


async def test_every_entry_has_types_for_products_in_strict_typescript(package: Package) -> None:
    entries = [name.removeprefix(".") for name in package.entries("types")]
    imports = "\n".join(f'import * as entry{number} from "@hubbub/client{name}";' for number, name in enumerate(entries))
    wrong = "// @ts-expect-error - the origin is required\nexport const never = () => entry0.connect({});"
    (package.product / "product.mts").write_text(f"{imports}\n{wrong}\n")
    compiler = WEB / "node_modules" / ".bin" / "tsc"
    options = ["--noEmit", "--strict", "--module", "nodenext", "--target", "es2022", "--lib", "es2023,dom,dom.iterable"]
    await run(compiler, *options, "product.mts", cwd=package.product)
    await run(WEB / "node_modules" / ".bin" / "publint", "--strict", package.folder, cwd=WEB)


@pytest.mark.parametrize("node", NODES)
async def test_the_example_runs_in_node(product: Stack, package: Package, node: str) -> None:
    (package.product / "example.mjs").write_text((package.folder / "example.js").read_text())
    assert SAID.fullmatch(await run(node, "example.mjs", product.gateways[0].url, cwd=package.product))


@pytest.mark.asyncio(loop_scope="session")
async def test_the_example_runs_in_chromium_without_a_bundler(product: Stack, package: Package, browser: Browser) -> None:
    async def serve(route: Route) -> None:
        file = package.folder / route.request.url.partition("/sdk/")[2]
        await route.fulfill(body=file.read_text(), content_type="text/javascript")

    context = await browser.new_context(bypass_csp=True)  # for the import map, which is an inline script
    page = await context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(f"{error}"))
    await page.route("**/sdk/**", serve)
    await page.goto(f"{product.gateways[1].url}/healthz")
    async with page.expect_console_message(lambda message: message.type == "log") as printed:
        await page.evaluate(_START)
    assert SAID.fullmatch((await printed.value).text)
    assert not errors
    await context.close()
