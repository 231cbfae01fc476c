"""The programs of docs/socketio.md, which tests run as they stand there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "socketio.md").read_text()


def program(language: str) -> str:
    """The page's program in a language."""
    [found] = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)
