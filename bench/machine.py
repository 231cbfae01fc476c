"""Describes the machine, the software and the revision of a measurement."""

import asyncio
import os
import platform
from importlib.metadata import version
from pathlib import Path

from sendmany import NATIVE

_TOOL_SECONDS = 10
_PACKAGES = ("picows", "uvicorn", "uvloop", "msgspec", "hiredis", "grpcio", "psycopg")


async def describe(root: Path) -> dict[str, str]:
    """Return the description, by name."""
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "revision": await _run_tool("git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=10"),
        "Python": platform.python_version(),
        "packages": ", ".join(f"{name} {found}" for name in _PACKAGES if (found := _version(name))),
        "Node": await _run_tool("node", "--version"),
        "gateway's sends": "compiled" if NATIVE else "not compiled",
        "compiler": (await _run_tool("cc", "--version")).splitlines()[0],
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _version(package: str) -> str:
    try:
        return version(package)
    except ModuleNotFoundError:
        return ""


async def _run_tool(*command: str) -> str:
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
        output, _ = await asyncio.wait_for(process.communicate(), _TOOL_SECONDS)
    except (OSError, TimeoutError):
        return "unknown"
    return output.decode().strip() or "unknown"
