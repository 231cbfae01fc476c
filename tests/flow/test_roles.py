"""Permissions of the roles in each kind of channel."""

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from tests.client import Api, Socket
from tests.flow.world import World, live

ROLES = ["owner", "moderator", "member", "reader"]
MODERATORS = {"owner", "moderator"}
MEMBERS = {"owner", "moderator", "member"}


@dataclass(frozen=True, slots=True)
class Stage:
    """A channel with a member in every role, and users outside it."""

    room: str
    people: dict[str, Api]
    newcomers: list[Api]

    @property
    def owner(self) -> Api:
        return self.people["owner"]


async def staged(world: World, kind: str) -> Stage:
    people = {role: await world.person(role, number % 2) for number, role in enumerate(ROLES)}
    newcomers = [await world.person(f"newcomer-{number}") for number in range(4)]
    room = await world.room(people["owner"], kind=kind)
    for role in ROLES[1:]:
        await people["owner"].ok("POST", f"/v1/channels/{room}/members", {"users": [role], "role": role})
    return Stage(room, people, newcomers)


async def allowed(stage: Stage, act: Callable[[str, Api, Socket], Awaitable[str]]) -> set[str]:
    """The roles that may perform an action; every other role is refused with NOT_ALLOWED."""
    granted = set()
    for role, api in stage.people.items():
        async with live(api) as socket:
            reason = await act(role, api, socket)
        assert reason in {"", "NOT_ALLOWED"}, (role, reason)
        if not reason:
            granted.add(role)
    return granted


def reason_of(frame: dict[str, str]) -> str:
    return frame["reason"] if frame["type"] == "error" else ""


@pytest.mark.parametrize(("kind", "roles"), [("group", MEMBERS), ("public", MEMBERS), ("qa", MEMBERS), ("broadcast", MODERATORS)])
async def test_posting(world: World, kind: str, roles: set[str]) -> None:
    stage = await staged(world, kind)

    async def over_socket(_role: str, _api: Api, socket: Socket) -> str:
        return reason_of(await socket.post(stage.room, str(uuid.uuid4()), "may I?"))

    async def over_http(_role: str, api: Api, _socket: Socket) -> str:
        return (await api.call("POST", f"/v1/channels/{stage.room}/messages", {"text": "may I?"})).reason

    assert await allowed(stage, over_socket) == roles
    assert await allowed(stage, over_http) == roles


async def test_only_the_author_may_edit(world: World) -> None:
    stage = await staged(world, "group")
    message = (await stage.people["member"].post(stage.room, "mine"))["message"]

    async def edit(_role: str, _api: Api, socket: Socket) -> str:
        return reason_of(await socket.request("edit", channel=stage.room, message=message, text="not yours"))

    assert await allowed(stage, edit) == {"member"}


async def test_the_author_and_moderators_may_delete(world: World) -> None:
    stage = await staged(world, "group")

    async def delete(_role: str, _api: Api, socket: Socket) -> str:
        message = (await stage.people["member"].post(stage.room, "mine"))["message"]
        return reason_of(await socket.request("delete", channel=stage.room, message=message))

    assert await allowed(stage, delete) == {"member", "moderator", "owner"}


async def test_a_member_may_not_delete_another_members_message(world: World) -> None:
    stage = await staged(world, "public")
    message = (await stage.owner.post(stage.room, "the owner's"))["message"]
    async with live(stage.people["member"]) as socket:
        assert (await socket.request("delete", channel=stage.room, message=message))["reason"] == "NOT_ALLOWED"


@pytest.mark.parametrize(
    ("kind", "roles"), [("group", MEMBERS), ("public", MODERATORS), ("broadcast", MODERATORS), ("qa", MODERATORS)]
)
async def test_pinning(world: World, kind: str, roles: set[str]) -> None:
    stage = await staged(world, kind)

    async def pin(_role: str, _api: Api, socket: Socket) -> str:
        message = (await stage.owner.post(stage.room, "important"))["message"]
        return reason_of(await socket.request("pin", channel=stage.room, message=message))

    assert await allowed(stage, pin) == roles


@pytest.mark.parametrize(
    ("kind", "roles"), [("group", MEMBERS), ("public", MODERATORS), ("broadcast", MODERATORS), ("qa", MODERATORS)]
)
async def test_adding_people(world: World, kind: str, roles: set[str]) -> None:
    stage = await staged(world, kind)

    async def add(role: str, api: Api, _socket: Socket) -> str:
        body = {"users": [stage.newcomers[ROLES.index(role)].user]}
        return (await api.call("POST", f"/v1/channels/{stage.room}/members", body)).reason

    assert await allowed(stage, add) == roles


@pytest.mark.parametrize(
    ("kind", "roles"), [("group", MEMBERS), ("public", MODERATORS), ("broadcast", MODERATORS), ("qa", MODERATORS)]
)
async def test_changing_the_channel(world: World, kind: str, roles: set[str]) -> None:
    stage = await staged(world, kind)

    async def change(role: str, api: Api, _socket: Socket) -> str:
        return (await api.call("PATCH", f"/v1/channels/{stage.room}", {"topic": f"by {role}"})).reason

    assert await allowed(stage, change) == roles


async def test_a_member_cannot_grant_a_role_above_its_own(world: World) -> None:
    stage = await staged(world, "group")
    members, path = f"/v1/channels/{stage.room}/members", f"/v1/channels/{stage.room}/members/reader"
    moderator, member = stage.people["moderator"], stage.people["member"]
    await moderator.refused("PATCH", path, {"role": "owner"}, reason="NOT_ALLOWED")
    await moderator.refused("POST", members, {"users": ["newcomer-0"], "role": "owner"}, reason="NOT_ALLOWED")
    await member.refused("POST", members, {"users": ["newcomer-0"], "role": "moderator"}, reason="NOT_ALLOWED")
    await member.refused("PATCH", f"/v1/channels/{stage.room}/members/member", {"role": "owner"}, reason="NOT_ALLOWED")
    await moderator.ok("PATCH", path, {"role": "moderator"})


async def test_a_member_may_remove_no_one_and_a_moderator_no_owner(world: World) -> None:
    stage = await staged(world, "group")
    members = f"/v1/channels/{stage.room}/members"
    await stage.people["member"].refused("DELETE", f"{members}/reader", reason="NOT_ALLOWED")
    await stage.people["moderator"].refused("DELETE", f"{members}/owner", reason="NOT_ALLOWED")
    await stage.people["moderator"].ok("DELETE", f"{members}/member", status=204)


@pytest.mark.parametrize("role", ["admin", "", 7, None])
async def test_an_unknown_role_is_an_invalid_argument(world: World, role: object) -> None:
    stage = await staged(world, "group")
    await stage.owner.refused("PATCH", f"/v1/channels/{stage.room}/members/reader", {"role": role}, reason="INVALID_ARGUMENT")


async def test_in_a_direct_channel_both_may_pin_and_delete_only_their_own(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann, bob, kind="direct")
    message = (await ann.post(room, "mine"))["message"]
    async with live(bob) as socket:
        assert socket.hello["channels"][0]["role"] == "member"
        assert (await socket.request("pin", channel=room, message=message))["type"] == "ack"
        assert (await socket.request("delete", channel=room, message=message))["reason"] == "NOT_ALLOWED"
        assert (await socket.request("edit", channel=room, message=message, text="x"))["reason"] == "NOT_ALLOWED"


async def test_slow_mode_applies_to_members_and_says_how_long_to_wait(world: World) -> None:
    stage = await staged(world, "public")
    await stage.owner.ok("PATCH", f"/v1/channels/{stage.room}", {"slow_mode_seconds": 60})
    async with live(stage.people["member"]) as socket:
        assert (await socket.post(stage.room, "k1", "one"))["type"] == "ack"
        error = await socket.post(stage.room, "k2", "two")
        assert error["reason"] == "SLOW_MODE"
        assert 0 < error["retry_after"] <= 60
        assert (await socket.post(stage.room, "k1", "one"))["duplicate"] is True
    path = f"/v1/channels/{stage.room}/messages"
    answer = await stage.people["member"].refused("POST", path, {"text": "three"}, reason="SLOW_MODE")
    assert 0 < int(answer.headers["retry-after"]) <= 60


@pytest.mark.parametrize("role", ["moderator", "owner"])
async def test_slow_mode_does_not_apply_to_moderators_and_owners(world: World, role: str) -> None:
    stage = await staged(world, "public")
    await stage.owner.ok("PATCH", f"/v1/channels/{stage.room}", {"slow_mode_seconds": 60})
    for text in ("one", "two"):
        await stage.people[role].post(stage.room, text)
