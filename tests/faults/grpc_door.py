"""Posting and reading over gRPC, with the same results as the other clients."""

import json
from dataclasses import dataclass
from typing import Any

import grpc

from hubbub.events.v1.events_pb2 import PostMessage
from hubbub.messages.v1.messages_pb2 import Caller
from hubbub.messages.v1.messages_service_pb2 import ListEventsRequest, PostMessageRequest
from hubbub.messages.v1.messages_service_pb2_grpc import MessagesServiceStub
from tests.faults.record import Acked, Outcome, Refused

_SECONDS = 15.0
_PAGE = 1_000
_REASONS = {
    grpc.StatusCode.UNAVAILABLE: "UNAVAILABLE",
    grpc.StatusCode.DEADLINE_EXCEEDED: "UNAVAILABLE",
    grpc.StatusCode.CANCELLED: "UNAVAILABLE",
    grpc.StatusCode.INTERNAL: "INTERNAL",
}
"""Status codes that allow a retry; the workload must cause no other."""


@dataclass(frozen=True, slots=True)
class Door:
    """One user over gRPC."""

    messages: MessagesServiceStub
    caller: Caller

    async def post(self, channel: str, key: str, text: str) -> Outcome:
        """Send a message."""
        request = PostMessageRequest(caller=self.caller, channel=channel, key=key, message=PostMessage(text=text))
        try:
            answer = await self.messages.PostMessage(request, timeout=_SECONDS)
        except grpc.aio.AioRpcError as error:
            return Refused(_REASONS.get(error.code(), error.code().name))
        return Acked(answer.seq, answer.message, answer.duplicate)


async def log(messages: MessagesServiceStub, caller: Caller, channel: str) -> list[dict[str, Any]]:
    """Return a channel's whole log, as clients see its entries."""
    found: list[dict[str, Any]] = []
    while True:
        after = found[-1]["seq"] if found else 0
        request = ListEventsRequest(caller=caller, channel=channel, after=after, page_size=_PAGE)
        page = (await messages.ListEvents(request, timeout=_SECONDS)).events
        if not page:
            return found
        found += (json.loads(event.payload) for event in page)
