"""Generates the Python stubs under `gen/python` from the protos.

With `--check`, checks that the committed stubs are current, that buf's linter accepts the protos, and that they are compatible
with the newest release (`released.binpb`). With `--release`, renews that file.
"""

from __future__ import annotations

import argparse
import filecmp
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

HERE = Path(__file__).resolve().parent
COMMITTED = HERE / "gen" / "python"
RELEASED = HERE / "released.binpb"
"""The protos of the newest release, as a buf image."""


def generate(target: Path) -> None:
    """Write the stubs and their types to `target`."""
    sources = sorted(str(path.relative_to(HERE)) for path in (HERE / "hubbub").rglob("*.proto"))
    arguments = [
        "protoc",
        f"--proto_path={HERE}",
        f"--proto_path={files('grpc_tools') / '_proto'}",
        f"--python_out={target}",
        f"--mypy_out=quiet:{target}",
    ]
    if protoc.main([*arguments, *sources]) != 0:
        sys.exit("protoc rejected the protos")
    services = [source for source in sources if source.endswith("_service.proto")]
    arguments = [
        "protoc",
        f"--proto_path={HERE}",
        f"--proto_path={files('grpc_tools') / '_proto'}",
        f"--grpc_python_out={target}",
        f"--mypy_grpc_out=quiet,only_async:{target}",
    ]
    if protoc.main([*arguments, *services]) != 0:
        sys.exit("protoc rejected the services")
    for folder in [target / "hubbub", *(path for path in (target / "hubbub").rglob("*") if path.is_dir())]:
        (folder / "__init__.py").write_text('"""Generated from protos/: do not edit."""\n')
    (target / "hubbub" / "py.typed").touch()


def stale(fresh: Path) -> list[str]:
    """Return the stubs that differ from the committed ones."""
    names = {
        str(p.relative_to(root))
        for root in (fresh, COMMITTED)
        for p in (root / "hubbub").rglob("*.py*")
        if "__pycache__" not in p.parts
    }
    return sorted(
        name
        for name in names
        if not (fresh / name).exists()
        or not (COMMITTED / name).exists()
        or not filecmp.cmp(fresh / name, COMMITTED / name, shallow=False)
    )


def findings(*arguments: str) -> str:
    """Run buf on the protos, offline. Return its report; empty if it succeeds."""
    buf = Path(sys.executable).with_name("buf")  # installed beside this interpreter
    done = subprocess.run([buf, *arguments], cwd=HERE, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr if done.returncode else ""


def problems() -> Iterator[str]:
    """Yield one text for each check that fails."""
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        if different := stale(Path(folder)):
            yield "stale stubs, run `make protos`: " + ", ".join(different)
    if report := findings("lint"):
        yield f"protos that buf lint rejects (rules in buf.yaml):\n{report}"
    if report := findings("breaking", "--against", RELEASED.name):
        yield f"changes that break clients of the newest release (add a field or an RPC, and deprecate the old one):\n{report}"


def main() -> None:
    """Generate, check, or renew the baseline."""
    parser = argparse.ArgumentParser(description=__doc__)
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--check", action="store_true", help="write nothing; fail for stale stubs, lint and breaking changes")
    mode.add_argument("--release", action="store_true", help="make the present protos the baseline for breaking changes")
    arguments = parser.parse_args()
    if arguments.check:
        if found := list(problems()):
            sys.exit("\n".join(found))
    elif arguments.release:
        if report := findings("build", "--exclude-source-info", "-o", RELEASED.name):
            sys.exit(report)
    else:
        generate(COMMITTED)


if __name__ == "__main__":
    main()
