"""The Python client of Hubbub.

`Client` stays connected, resumes without a gap, and keeps what it sends until the server has stored it.
`hubbub_client.threads.Client` is the same for programs without an event loop.
"""

from hubbub_client.api import Api
from hubbub_client.client import Client
from hubbub_client.connection import Tap
from hubbub_client.errors import Ended, HubbubError, NoAnswer, OutboxFull, Refused
from hubbub_client.keys import new_key
from hubbub_client.outbox import Outgoing
from hubbub_client.settings import Settings
from hubbub_client.tokens import TokenSource
from hubbub_client.updates import Checkpoint, Event, Joined, Left, Reset, Signal, Stored, Update

__all__ = [
    "Api",
    "Checkpoint",
    "Client",
    "Ended",
    "Event",
    "HubbubError",
    "Joined",
    "Left",
    "NoAnswer",
    "OutboxFull",
    "Outgoing",
    "Refused",
    "Reset",
    "Settings",
    "Signal",
    "Stored",
    "Tap",
    "TokenSource",
    "Update",
    "new_key",
]
