"""The release that this process belongs to. All members of the workspace have the same version."""

from __future__ import annotations

from importlib.metadata import version

VERSION = version("hubbub-chassis")
