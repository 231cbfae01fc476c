"""Renewing the token of an open socket: only the same user's token is accepted, and it replaces the first."""

import asyncio
from typing import Any

from tests.flow.world import World, live

EXPIRED, REVOKED = 4001, 4501


async def test_a_socket_outlives_its_first_token_after_renewal(world: World) -> None:
    ann = await world.person("ann", ttl=3)
    fresh = await world.person("ann", 1, ttl=3600)
    async with live(ann) as renewed, live(ann) as other:
        answer = await renewed.request("token", token=fresh.token)
        assert answer["type"] == "token"
        assert await other.closed() == EXPIRED
        await renewed.round_trip()


async def test_a_ticket_renews_once_with_the_rights_of_its_token(world: World) -> None:
    ann = await world.person("ann", ttl=3)
    fresh, bob = await world.person("ann", 1, ttl=3600), await world.person("bob")
    async with live(ann) as socket:
        ticket = await fresh.ticket()
        answer = await socket.request("token", ticket=ticket)
        assert (answer["type"], answer["expires_at"][-1]) == ("token", "Z")
        for spent in (ticket, await bob.ticket(), "x" * 32):
            answer = await socket.request("token", ticket=spent)
            assert (answer["type"], answer["reason"]) == ("error", "NOT_AUTHENTICATED")
        for unfit in ({}, {"token": fresh.token, "ticket": ticket}, {"ticket": None}, {"ticket": ""}):
            answer = await socket.request("token", **unfit)
            assert (answer["type"], answer["reason"]) == ("error", "INVALID_FRAME")


async def test_a_token_that_ends_sooner_ends_the_socket_sooner(world: World) -> None:
    ann, short = await world.person("ann", ttl=3600), await world.person("ann", ttl=3)
    async with live(ann) as socket:
        assert (await socket.request("token", token=short.token))["type"] == "token"
        assert await socket.closed() == EXPIRED


async def test_another_users_token_or_an_invalid_one_changes_nothing(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    namesake = await world.person("ann", tenant=f"{world.tenant}-other")
    async with live(ann) as socket:
        for token in (bob.token, namesake.token, "token", f"{ann.token}x"):
            answer = await socket.request("token", token=token)
            assert (answer["type"], answer["reason"]) == ("error", "NOT_AUTHENTICATED")
        wrong: list[Any] = [None, 5, "", {}, ["token"]]
        for unfit in wrong:
            answer = await socket.request("token", token=unfit)
            assert (answer["type"], answer["reason"]) == ("error", "INVALID_FRAME")
        await socket.round_trip()


async def test_a_revoked_token_is_refused_and_a_renewed_socket_can_be_revoked(world: World) -> None:
    root = await world.person("root", roles=["admin"])
    old = await world.person("eve", 1)
    await root.ok("POST", "/v1/admin/users/eve/revoke", status=204)
    eve = await world.person("eve", 1)
    async with live(eve) as socket:
        answer = await socket.request("token", token=old.token)
        assert (answer["type"], answer["reason"]) == ("error", "NOT_AUTHENTICATED")
        fresh = await world.person("eve", 1)
        assert (await socket.request("token", token=fresh.token))["type"] == "token"
        await root.ok("POST", "/v1/admin/users/eve/revoke", status=204)
        assert await socket.closed() == REVOKED


async def test_one_token_is_verified_at_a_time(world: World) -> None:
    ann = await world.person("ann")
    async with live(ann) as socket:
        answers = await asyncio.gather(*(socket.request("token", token=ann.token) for _ in range(5)))
        assert {answer.get("reason", "renewed") for answer in answers} <= {"renewed", "RATE_LIMITED"}
        assert "renewed" in {answer.get("reason", "renewed") for answer in answers}
