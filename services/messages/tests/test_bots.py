"""Bots, their tokens, and incoming webhooks."""

from __future__ import annotations

import math
import time
from typing import Any

import psycopg
import pytest

from chassis import bots as forms
from chassis.bots import hook_credential, token_credential
from chassis.errors import Conflict, InvalidArgument, NotAllowed, NotAMember, NotAuthenticated, NotFound
from hubbub.events.v1.events_pb2 import Role
from hubbub.messages.v1 import messages_pb2 as nouns
from hubbub.messages.v1 import messages_service_pb2 as rpc
from messages.store import bots, erasure
from services.messages.tests.conftest import Listener, Town, refused

READ, WRITE = nouns.BOT_SCOPE_READ, nouns.BOT_SCOPE_WRITE


async def ask(town: Town, rpc_name: str, user: str = "root", /, **fields: Any) -> Any:
    """Call an RPC; the user `root` is an administrator."""
    await town.people(user)
    caller = town.caller(user, admin=user == "root")
    return await getattr(town.service, rpc_name)(getattr(rpc, f"{rpc_name}Request")(caller=caller, **fields), None)


async def bot(town: Town, name: str = "Deploys") -> str:
    return (await ask(town, "CreateBot", name=name)).bot.id  # type: ignore[no-any-return]


async def token(town: Town, of: str, *scopes: nouns.BotScope.ValueType, seconds: int = 0) -> rpc.CreateBotTokenResponse:
    made: rpc.CreateBotTokenResponse = await ask(
        town, "CreateBotToken", bot=of, name="ci", scopes=scopes or (READ, WRITE), seconds=seconds
    )
    return made


async def identify(town: Town, shown: forms.Credential | None) -> rpc.IdentifyBotResponse:
    assert shown is not None
    return await town.service.IdentifyBot(rpc.IdentifyBotRequest(tenant=shown.tenant, digest=shown.digest), None)


def acting(town: Town, found: rpc.IdentifyBotResponse) -> nouns.Caller:
    """The caller that a gateway makes of a bot's token."""
    return nouns.Caller(tenant=town.tenant, user=found.bot, token_issued_at=found.issued_at, session=found.token)


async def admit(town: Town, caller: nouns.Caller) -> rpc.AdmitUserResponse:
    return await town.service.AdmitUser(rpc.AdmitUserRequest(caller=caller, name="Another name"), None)


def by_hook(path: str) -> forms.Credential | None:
    *_, hook, secret = path.split("/")
    return hook_credential(hook, secret)


async def used_on(town: Town, of: str) -> str:
    (one,) = (await ask(town, "ListBotTokens", bot=of)).tokens
    return str(one.used_on)


async def test_a_token_admits_its_bot_until_it_is_revoked_and_its_end_reaches_the_gateways(
    town: Town, listener: Listener
) -> None:
    robot = await bot(town)
    made = await token(town, robot)
    assert made.secret.startswith(f"hubbot_{town.tenant}.")
    found = await identify(town, token_credential(made.secret))
    assert (found.bot, found.token, list(found.scopes), found.channel, found.expires_at) == (
        robot, made.token.id, [READ, WRITE], "", math.inf,
    )  # fmt: skip
    assert await used_on(town, robot) == ""
    admitted = await admit(town, acting(town, found))
    assert (admitted.user.id, admitted.user.name, admitted.user.bot, admitted.session_ends_at) == (
        robot, "Deploys", True, math.inf,
    )  # fmt: skip
    assert await used_on(town, robot) == time.strftime("%Y-%m-%d", time.gmtime())
    for _ in range(2):  # the second call is for an administrator who was not answered
        await ask(town, "RevokeBotToken", bot=robot, token=made.token.id)
    await refused(identify(town, token_credential(made.secret)), NotAuthenticated)
    await refused(admit(town, acting(town, found)), NotAuthenticated)
    await listener.until(lambda heard: len(heard.revocations) == 2)
    assert [(each.user, each.blocked, list(each.sessions)) for each in listener.revocations] == [
        (robot, False, [made.token.id])
    ] * 2
    assert list((await ask(town, "ListBotTokens", bot=robot)).tokens) == []


async def test_a_token_ends_by_itself_and_with_the_access_of_its_bot(town: Town) -> None:
    robot = await bot(town)
    short, first = await token(town, robot, seconds=1), await token(town, robot)
    found = await identify(town, token_credential(short.secret))
    assert 0 < found.expires_at - found.issued_at <= 1
    async with town.database.connection([town.tenant]) as connection:
        query = "UPDATE bot_tokens SET expires_at = now() WHERE id = %s"
        await connection.execute(query, [short.token.id])
    await refused(identify(town, token_credential(short.secret)), NotAuthenticated)
    await refused(admit(town, acting(town, found)), NotAuthenticated)
    known = await identify(town, token_credential(first.secret))
    await ask(town, "UpdateBot", bot=robot, disabled=True)
    await refused(identify(town, token_credential(first.secret)), NotAuthenticated)
    await refused(admit(town, acting(town, known)), NotAuthenticated)
    enabled = (await ask(town, "UpdateBot", bot=robot, disabled=False, name="Ship it")).bot
    assert (enabled.name, enabled.disabled) == ("Ship it", False)
    assert (await admit(town, acting(town, known))).user.name == "Ship it"
    await ask(town, "RevokeUser", user=robot)
    await refused(admit(town, acting(town, known)), NotAuthenticated)
    await refused(identify(town, token_credential(first.secret)), NotAuthenticated)
    await identify(town, token_credential((await token(town, robot)).secret))
    audit = (await ask(town, "ListAudit")).records
    assert [each.action for each in audit if each.subject == robot] == [
        "bot.created", "bot.token_created", "bot.token_created", "bot.disabled", "bot.renamed", "bot.enabled",
        "user.revoked", "bot.token_created",
    ]  # fmt: skip
    assert not any(made.secret in each.details for made in (short, first) for each in audit)


async def test_only_a_token_of_its_own_makes_a_caller_a_bot(town: Town) -> None:
    robot, other = await bot(town), await bot(town)
    found = await identify(town, token_credential((await token(town, robot)).secret))
    stolen = acting(town, found)
    stolen.user = other
    await refused(admit(town, stolen), NotAuthenticated)
    await refused(admit(town, nouns.Caller(tenant=town.tenant, user=robot, token_issued_at=time.time())), NotAuthenticated)
    await refused(admit(town, town.caller("bot:invented")), NotAuthenticated)
    assert (await admit(town, town.caller(robot))).user.name == "Deploys"  # a product's service, which gives no new name
    asked = rpc.BeginBrowserSessionRequest(caller=town.caller(robot), idle_seconds=60, longest_seconds=60)
    await refused(town.service.BeginBrowserSession(asked, None), NotAuthenticated)


async def test_a_token_counts_for_its_tenant_and_is_stored_as_a_digest_only(town: Town) -> None:
    made = await token(town, await bot(town))
    shown = token_credential(made.secret)
    assert shown is not None
    await refused(identify(town, shown._replace(tenant="another")), NotAuthenticated)
    await refused(identify(town, shown._replace(digest=b"")), NotAuthenticated)
    async with await psycopg.AsyncConnection.connect(town.url) as owner:
        await owner.execute("SELECT set_config('hubbub.tenants', %s, true)", ["{" + town.tenant + "}"])
        rows = await (await owner.execute("SELECT t::text FROM bot_tokens t WHERE tenant = %s", [town.tenant])).fetchall()
    assert len(rows) == 1
    assert made.secret.partition(".")[2] not in rows[0][0]


async def test_bots_are_for_administrators_and_bounded(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    robot = await bot(town)
    for name, fields in (
        ("CreateBot", {"name": "x"}),
        ("ListBots", {}),
        ("UpdateBot", {"bot": robot, "name": "x"}),
        ("CreateBotToken", {"bot": robot, "name": "x", "scopes": [READ]}),
        ("ListBotTokens", {"bot": robot}),
        ("RevokeBotToken", {"bot": robot, "token": "00000000-0000-0000-0000-000000000000"}),
    ):
        await refused(ask(town, name, "ann", **fields), NotAllowed)
    await refused(ask(town, "CreateBot", name=""), InvalidArgument)
    await refused(ask(town, "CreateBotToken", bot=robot, name="x"), InvalidArgument)
    await refused(ask(town, "CreateBotToken", bot=robot, name="x", scopes=[99]), InvalidArgument)
    await refused(ask(town, "CreateBotToken", bot=robot, name="x", scopes=[READ], seconds=10**9), InvalidArgument)
    await refused(ask(town, "UpdateBot", bot="ann", name="x"), NotFound)
    monkeypatch.setattr(bots, "BOTS", 2)
    monkeypatch.setattr(bots, "TOKENS", 1)
    second = await bot(town)
    await refused(bot(town), Conflict)
    made = await token(town, second)
    await refused(token(town, second), Conflict)
    await ask(town, "RevokeBotToken", bot=second, token=made.token.id)
    await token(town, second)
    first, rest = await ask(town, "ListBots", page_size=1), None
    rest = await ask(town, "ListBots", page_size=1, page_token=first.next_page_token)
    assert {each.id for page in (first, rest) for each in page.bots} == {robot, second}
    assert rest.next_page_token == ""


@pytest.mark.parametrize(("kind", "role"), [("group", "ROLE_MEMBER"), ("broadcast", "ROLE_MODERATOR")])
async def test_a_webhook_posts_as_a_bot_of_its_own_until_it_is_removed(town: Town, kind: str, role: str) -> None:
    room = await town.channel("ann", "bob", kind=kind)
    made = await ask(town, "CreateHook", "ann", channel=room, name="Builds")
    robot = made.hook.id
    found = await identify(town, by_hook(made.path))
    assert (found.bot, found.channel, list(found.scopes)) == (robot, room, [])
    listed = (await ask(town, "ListMembers", "bob", channel=room, user=robot)).members
    assert [(each.name, each.role, each.bot) for each in listed] == [("Builds", Role.Value(role), True)]
    posted = rpc.PostMessageRequest(caller=acting(town, found), channel=room, key="k")
    posted.message.text = "green"
    assert (await town.service.PostMessage(posted, None)).seq > 0
    rotated = await ask(town, "RotateHook", "ann", channel=room, hook=robot)
    assert (rotated.hook.id, rotated.path == made.path) == (robot, False)
    await refused(identify(town, by_hook(made.path)), NotAuthenticated)
    await refused(admit(town, acting(town, found)), NotAuthenticated)
    assert [each.id for each in (await ask(town, "ListHooks", "ann", channel=room)).hooks] == [robot]
    await ask(town, "UpdateBot", bot=robot, disabled=True)
    await refused(identify(town, by_hook(rotated.path)), NotAllowed)
    for _ in range(2):
        await ask(town, "RemoveHook", "ann", channel=room, hook=robot)
    await refused(identify(town, by_hook(rotated.path)), NotAuthenticated)
    await refused(ask(town, "RotateHook", "ann", channel=room, hook=robot), NotFound)
    await refused(ask(town, "UpdateBot", bot=robot, disabled=False), NotFound)
    assert list((await ask(town, "ListHooks", "ann", channel=room)).hooks) == []
    assert list((await ask(town, "ListMembers", "bob", channel=room, user=robot)).members) == []
    assert list((await ask(town, "ListBots")).bots) == []


async def test_webhooks_are_for_owners_and_their_bots_have_no_other_token(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    room = await town.channel("ann", "bob", kind="public")
    made = await ask(town, "CreateHook", "ann", channel=room, name="Builds")
    robot = made.hook.id
    for user, error in (("bob", NotAllowed), ("root", NotAMember)):
        for name, fields in (
            ("CreateHook", {"name": "x"}), ("ListHooks", {}), ("RotateHook", {"hook": robot}), ("RemoveHook", {"hook": robot}),
        ):  # fmt: skip
            await refused(ask(town, name, user, channel=room, **fields), error)
    direct = await town.channel("ann", "bob", kind="direct")
    await refused(ask(town, "CreateHook", "ann", channel=direct, name="x"), NotAllowed)
    await refused(token(town, robot), Conflict)
    found = await identify(town, by_hook(made.path))
    await refused(ask(town, "RevokeBotToken", bot=robot, token=found.token), NotFound)
    other = await town.channel("ann")
    await refused(ask(town, "RotateHook", "ann", channel=other, hook=robot), NotFound)
    await refused(ask(town, "RemoveHook", "ann", channel=other, hook=robot), NotFound)
    monkeypatch.setattr(bots, "HOOKS", 1)
    await refused(ask(town, "CreateHook", "ann", channel=room, name="x"), Conflict)


async def _nothing() -> None:
    pass


async def test_erasing_a_bot_leaves_no_token_and_erasing_its_creator_leaves_the_bot(own_town: Town) -> None:
    town = own_town
    robot = await bot(town)
    made = await token(town, robot)
    await ask(town, "EraseUser", user=robot)
    await refused(identify(town, token_credential(made.secret)), NotAuthenticated)
    await refused(ask(town, "UpdateBot", bot=robot, disabled=False), NotFound)
    (wanted,) = await erasure.waiting(town.database)
    await erasure.erase(town.database, wanted, _nothing)
    async with await psycopg.AsyncConnection.connect(town.url) as owner:
        await owner.execute("SELECT set_config('hubbub.tenants', %s, true)", ["{" + town.tenant + "}"])
        for table in ("bots", "bot_tokens"):
            assert await (await owner.execute(f"SELECT * FROM {table}".encode())).fetchall() == []
    await refused(admit(town, town.caller(robot)), NotAuthenticated)

    second = await bot(town)
    kept = await token(town, second)
    await town.people("boss")
    boss = town.caller("boss", admin=True)
    await town.service.EraseUser(rpc.EraseUserRequest(caller=boss, user="root"), None)
    (wanted,) = await erasure.waiting(town.database)
    await erasure.erase(town.database, wanted, _nothing)
    assert (await identify(town, token_credential(kept.secret))).bot == second
    (left,) = (await town.service.ListBots(rpc.ListBotsRequest(caller=boss), None)).bots
    assert left.creator == wanted.pseudonym
    (listed,) = (await town.service.ListBotTokens(rpc.ListBotTokensRequest(caller=boss, bot=second), None)).tokens
    assert listed.creator == wanted.pseudonym
