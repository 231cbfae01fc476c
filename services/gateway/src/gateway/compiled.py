"""Lets a process load the gateway's hot modules compiled, where `compile.py` has made them of the very sources that are here.

Made of any others, or by another Python, they are left alone and the sources are loaded: whoever changes a line runs that line.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ExtensionFileLoader, ModuleSpec
from importlib.util import find_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Final

MODULES: Final = (
    "bus.topics",
    "chassis.counters",
    "gateway.allowance",
    "gateway.connection",
    "gateway.inbound.dispatch",
    "gateway.inbound.limits",
    "gateway.inbound.pending",
    "gateway.inbound.publish",
    "gateway.inbound.reading",
    "gateway.outbound.channel",
    "gateway.outbound.fanout",
    "gateway.outbound.hub",
    "gateway.outbound.membership",
    "gateway.outbound.outbox",
    "gateway.outbound.recent",
    "gateway.outbound.wire",
    "gateway.tenure",
)
"""What every message goes through, without what cannot be compiled (`docs/adr/0019` says what must not be in them)."""
GROUP: Final = "hubbub_gateway"
"""They are one library, `<GROUP>__mypyc`; each has a file that only points there."""
FOLDER: Final = Path(__file__).parent / "_compiled"
"""Each lies there under its whole name."""
MADE_OF: Final = FOLDER / "made-of"
"""The digest of what they were made of."""
_SERVED = {*MODULES, f"{GROUP}__mypyc"}


class _Finder(MetaPathFinder):
    """Finds them there."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """What Python asks for every module (`importlib` calls this)."""
        del path, target
        if fullname not in _SERVED:
            return None
        file = str(FOLDER / f"{fullname}.so")
        return spec_from_file_location(fullname, file, loader=ExtensionFileLoader(fullname, file))


def digest() -> str:
    """What tells these sources and this Python from any others. Constants of the libraries are compiled in, so they count."""
    found = hashlib.sha256(sys.version.encode())
    for package in ("gateway", "bus", "chassis"):
        spec = find_spec(package)
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            for file in sorted(Path(folder).rglob("*.py")):
                found.update(f"{package}/{file.relative_to(folder)}\0".encode())
                found.update(file.read_bytes())
    return found.hexdigest()


def current() -> bool:
    """Whether they were compiled from the sources that are here."""
    return MADE_OF.is_file() and MADE_OF.read_text() == digest()


def use() -> bool:
    """Load them compiled from now on, where they are `current`, and tell. Raises `RuntimeError` once one of them is loaded."""
    if not current():
        return False
    if loaded := sys.modules.keys() & _SERVED:
        raise RuntimeError(f"loaded already: {', '.join(sorted(loaded))}")
    sys.meta_path.insert(0, _Finder())
    return True


def used() -> bool:
    """Whether this process loads them compiled."""
    return any(isinstance(finder, _Finder) for finder in sys.meta_path)
