"""Errors of the local stack.

StackError
├── InUseError        a port or the data folder is in use
├── NotReadyError     a process ended, or did not answer in time
├── RefusedError      a server cannot run as this user
└── SettingsError     the environment is invalid

Their texts are complete sentences for the user at the terminal.
"""


class StackError(Exception):
    """Base class. `python -m stack` prints the text without a traceback and exits with 1."""


class InUseError(StackError):
    """A port or the data folder is in use by another process."""


class SettingsError(StackError):
    """Settings in the environment are invalid."""


class RefusedError(StackError):
    """A server cannot run as this user."""


class NotReadyError(StackError):
    """A process ended, or did not answer in time, before it was ready."""

    def __init__(self, name: str, problem: str, log: str = "") -> None:
        super().__init__(f"{name} {problem}." + (f" Its last lines:\n{log}" if log else ""))
        self.name = name
        """The process."""
        self.problem = problem
        """What happened, without the name."""
