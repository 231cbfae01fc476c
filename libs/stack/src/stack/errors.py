"""What can go wrong with the local stack.

StackError
├── InUseError        a port or a data folder belongs to somebody else
├── NotReadyError     a process ended, or did not answer in time
├── RefusedError      a server cannot be run here as this user
└── SettingsError     the environment asks for something impossible

Each is written for the person at the terminal: its text is one complete sentence.
"""


class StackError(Exception):
    """Any of these; `python -m stack` prints its text, without a traceback, and exits 1."""


class InUseError(StackError):
    """A port or a data folder belongs to somebody else."""


class SettingsError(StackError):
    """The environment asks for something impossible."""


class RefusedError(StackError):
    """A server cannot be run here as this user."""


class NotReadyError(StackError):
    """A process ended, or did not answer, before it was ready."""

    def __init__(self, name: str, problem: str, log: str = "") -> None:
        super().__init__(f"{name} {problem}." + (f" Its last lines:\n{log}" if log else ""))
        self.name = name
        """Which process."""
        self.problem = problem
        """What it did instead of becoming ready, without the name."""
