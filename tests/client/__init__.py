"""An independent client of Hubbub for tests, written against protocol.md alone; it imports none of the product.

`shapes` checks every frame and answer. `api` is the HTTP client, `socket` the WebSocket client,
and `follower` reconnects and resumes.
"""

from tests.client.api import Answer, Api, login
from tests.client.follower import Follower
from tests.client.shapes import Mismatch
from tests.client.socket import Closed, Refusal, Socket, connect

__all__ = ["Answer", "Api", "Closed", "Follower", "Mismatch", "Refusal", "Socket", "connect", "login"]
