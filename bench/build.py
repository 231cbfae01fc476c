"""Builds the bench's C programs and installs the reference stack's modules."""

import asyncio
import shutil
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
BUILD = HERE / ".build"
"""Output of the bench, ignored by git: programs, plans, logs, the stacks' data."""

_FLAGS = ("-O2", "-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Wshadow", "-Werror")
_BUILD_SECONDS = 120


class BuildError(Exception):
    """A program or module cannot be built. The message is for the user."""


@dataclass(frozen=True, slots=True)
class Programs:
    """Paths of the built programs."""

    load: Path
    """The load generator."""
    floor: Path
    """The bare fan-out server."""
    reference: Path | None
    """The reference stack's folder; None if not wanted."""


async def build(*, reference: bool) -> Programs:
    """Compile programs older than their sources, and install the reference stack's modules. Raises BuildError."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise BuildError("The bench needs a C compiler: install gcc or clang.")
    BUILD.mkdir(exist_ok=True)
    load = await _compile(compiler, HERE / "load", BUILD / "hubbub-load")
    floor = await _compile(compiler, HERE / "floor", BUILD / "hubbub-floor")
    return Programs(load, floor, await _install(HERE / "reference") if reference else None)


async def _compile(compiler: str, sources: Path, program: Path) -> Path:
    files = sorted(sources.glob("*.[ch]"))  # noqa: ASYNC240 (nothing else runs yet)
    if _older(program, *files):
        await _run(sources, compiler, *_FLAGS, "-o", str(program), *(file.name for file in files if file.suffix == ".c"))
    return program


def _older(made: Path, *sources: Path) -> bool:
    return not made.exists() or made.stat().st_mtime < max(source.stat().st_mtime for source in sources)


async def _install(folder: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise BuildError("The reference stack needs Node 20 and npm. Without them, run with --systems hubbub,floor.")
    if _older(folder / "node_modules" / ".package-lock.json", folder / "package-lock.json"):
        await _run(folder, npm, "ci", "--silent")
    return folder


async def _run(folder: Path, *command: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), _BUILD_SECONDS)
    except TimeoutError:
        process.kill()
        raise BuildError(f"{command[0]} took longer than {_BUILD_SECONDS} s in {folder.name}/.") from None
    if process.returncode != 0:
        raise BuildError(f"{command[0]} failed in {folder.name}/:\n{output.decode(errors='replace').strip()}")
