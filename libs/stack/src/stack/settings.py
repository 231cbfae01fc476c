"""Settings of the stack, read once from the environment."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stack.errors import SettingsError

_MAX_PORT = 65_535
_MAX_PROCESSES = 64


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of one `make run`."""

    port: int
    """HUBBUB_PORT: port of the first gateway; the others use the following ones. 0 selects free ports."""
    data: Path
    """HUBBUB_DATA: folder of all persistent data, absolute."""
    gateways: int
    """GATEWAYS: number of gateways."""
    workers: int
    """WORKERS: number of messages workers."""
    search: bool
    """SEARCH: 1 if the search process runs, 0 if not."""
    web_root: Path
    """HUBBUB_WEB_ROOT: folder of the built web app."""
    environment: Mapping[str, str]
    """The whole environment. `product` passes parts of it to the processes."""

    @classmethod
    def read(cls, environment: Mapping[str, str], here: Path) -> "Settings":
        """Read the environment. Relative paths start at `here`. Raises SettingsError with every problem."""
        problems: list[str] = []

        def number(name: str, default: int, low: int, high: int) -> int:
            text = environment.get(name, "") or str(default)
            if text.isascii() and text.isdigit() and low <= int(text) <= high:
                return int(text)
            problems.append(f"{name} must be a number from {low} to {high}, not {text!r}.")
            return default

        settings = cls(
            port=number("HUBBUB_PORT", 8080, 0, _MAX_PORT),
            data=(here / (environment.get("HUBBUB_DATA") or ".hubbub")).absolute(),
            gateways=number("GATEWAYS", 1, 1, _MAX_PROCESSES),
            workers=number("WORKERS", 1, 1, _MAX_PROCESSES),
            search=number("SEARCH", 1, 0, 1) == 1,
            web_root=(here / (environment.get("HUBBUB_WEB_ROOT") or "web/dist")).absolute(),
            environment=dict(environment),
        )
        if problems:
            raise SettingsError(" ".join(problems))
        return settings

    def given(self, variable: str) -> str:
        """Return the value of `variable`, or empty text if the user did not set it."""
        return self.environment.get(variable, "")
