"""The modules that may be compiled: that they can be, that they are left alone when stale, and that none is loaded twice."""

import ast
import subprocess
import sys
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path

import pytest

from gateway import compiled

BASES = {"Exception", "Enum", "Collector", "Generic[_Child]", "_Family[CounterValue]", "_Family[HistogramValue]"}
"""What a class in them may derive from: nothing that msgspec reads, and nothing of anybody's native code."""
built = pytest.mark.skipif(not compiled.current(), reason="nothing is compiled: make compiled")


@pytest.mark.parametrize("module", compiled.MODULES)
def test_no_class_in_them_is_one_that_mypyc_would_break_without_a_word(module: str) -> None:
    spec = PathFinder.find_spec(module, import_module(module.rpartition(".")[0]).__path__)
    assert spec is not None
    assert spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_text())
    for each in ast.walk(tree):
        if isinstance(each, ast.ClassDef):
            assert not each.keywords, f"{each.name}: mypyc drops what a class statement is told"
            assert {ast.unparse(base) for base in each.bases} <= BASES, f"{each.name}: a base of another's layout breaks memory"


def test_what_was_made_of_other_sources_is_left_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stale = tmp_path / "made-of"
    stale.write_text("of others")
    monkeypatch.setattr(compiled, "MADE_OF", stale)
    before = list(sys.meta_path)
    assert not compiled.use()
    assert sys.meta_path == before


def test_a_changed_line_in_a_library_makes_them_stale(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = compiled.digest()
    package = tmp_path / "bus"
    package.mkdir()
    (package / "__init__.py").write_text("LIMIT = 2\n")
    found = find_spec("bus")
    assert found is not None
    changed = type(found)("bus", None, is_package=True)
    changed.submodule_search_locations = [str(package)]
    monkeypatch.setattr(compiled, "find_spec", lambda name: changed if name == "bus" else find_spec(name))
    assert compiled.digest() != before


@built
def test_all_of_them_are_loaded_compiled() -> None:
    script = (
        "import importlib\nfrom gateway import compiled\nassert compiled.use() and compiled.used()\n"
        "for name in compiled.MODULES: assert importlib.import_module(name).__file__.endswith('.so'), name\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=30)


@built
def test_they_are_not_loaded_twice() -> None:
    script = "import gateway.connection\nfrom gateway import compiled\ncompiled.use()\n"
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True, timeout=30)
    assert done.returncode
    assert "RuntimeError: loaded already: gateway.connection" in done.stderr
