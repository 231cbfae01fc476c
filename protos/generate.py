"""Generates the Python stubs in `gen/python` from the protos; with `--check`, reports whether the committed stubs are current."""

from __future__ import annotations

import argparse
import filecmp
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

HERE = Path(__file__).resolve().parent
COMMITTED = HERE / "gen" / "python"


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


def main() -> None:
    """Generate or check the stubs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the committed stubs are stale")
    if not parser.parse_args().check:
        generate(COMMITTED)
        return
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        if different := stale(Path(folder)):
            sys.exit("stale stubs, run `make protos`: " + ", ".join(different))


if __name__ == "__main__":
    main()
