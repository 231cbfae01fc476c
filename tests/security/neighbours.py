"""Two tenants whose people have the same ids: the first has one of everything, the second tries to see or touch it."""

import uuid
from dataclasses import dataclass

from hubbub.messages.v1 import messages_pb2 as nouns
from tests.client import Api
from tests.flow.world import World

UNKNOWN = {name: str(uuid.uuid4()) for name in ("channel", "message", "upload", "report")}
"""Ids of nothing."""
SECRET = "our secret"
NAMED = "of the first"
"""In the names of everybody of the first tenant."""


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Who is who."""

    world: World
    ann: Api
    """Of the first tenant, as bob and carol are; all that `ids` names is theirs."""
    bob: Api
    eve: Api
    """Ann's namesake in the second tenant, with all the power that there is in it."""
    other_bob: Api
    """Of the second tenant; there is no carol in it."""
    ids: dict[str, str]

    @property
    def tenant(self) -> str:
        """The second."""
        return second(self.world)

    @property
    def intruder(self) -> nouns.Caller:
        """Eve at the gRPC door."""
        return nouns.Caller(tenant=self.tenant, user="ann", admin=True)

    @property
    def victim(self) -> nouns.Caller:
        """Ann at the gRPC door."""
        return nouns.Caller(tenant=self.world.tenant, user="ann", admin=True)

    def none_of_theirs(self, answer: object) -> bool:
        """Whether an answer, or a part of one, holds nothing of the first tenant's."""
        text = str(answer)
        return not any(mark in text for mark in (*self.ids.values(), self.world.tenant, SECRET, NAMED))


def second(world: World) -> str:
    """A tenant beside the test's own, whose name does not contain the other's."""
    return f"n-{world.tenant[2:]}"


async def neighbours(world: World) -> Neighbours:
    """The first tenant with a channel that all of it sees, and in it, or about it, one of everything; and its neighbours."""
    ann, bob, carol = [await world.person(user, name=f"{user} {NAMED}") for user in ("ann", "bob", "carol")]
    eve = await world.person("ann", 1, tenant=second(world), roles=["admin"])
    other_bob = await world.person("bob", 1, tenant=second(world))
    room = await world.room(ann, bob, carol, kind="public")
    await world.room(ann, bob, kind="direct")
    message = (await bob.post(room, SECRET, "the-key"))["message"]
    report = (await bob.ok("POST", f"/v1/channels/{room}/messages/{message}/reports", {"reason": "x"}, status=201))["id"]
    announced = {"name": "a.txt", "size": 3, "type": "text/plain", "channel": room}
    upload = (await ann.ok("POST", "/v1/uploads", announced, status=201))["id"]
    await ann.ok("PUT", f"/v1/channels/{room}/bans/carol", {"reason": SECRET}, status=204)
    await ann.ok("PUT", "/v1/me/blocks/carol", status=204)
    return Neighbours(world, ann, bob, eve, other_bob, {"channel": room, "message": message, "report": report, "upload": upload})
