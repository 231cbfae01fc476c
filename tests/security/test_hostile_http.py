"""Hostile values in every body, path and query of the HTTP API: the answer is a problem, and never a 5xx."""

import itertools
import json
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from tests.client import Api
from tests.flow.world import World
from tests.security.hostile import MEGABYTE, NO_TEXT, STRANGE, UNSTORABLE
from tests.security.test_hostile_frames import ASSIGNED

UPLOAD = {"name": "a.txt", "size": 3, "type": "text/plain", "sha256": "0" * 64}
BODIES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "login": ("POST", "/v1/dev/login", {"user": "ann", "name": "Ann", "tenant": "{tenant}", "roles": ["x"], "ttl": 60}),
    "create": ("POST", "/v1/channels", {"kind": "group", "name": "n", "members": ["bob"], "history": "all"}),
    "change": ("PATCH", "/v1/channels/{room}", {"name": "n", "topic": "t", "slow_mode_seconds": 0}),
    "add": ("POST", "/v1/channels/{room}/members", {"users": ["bob"], "role": "member"}),
    "role": ("PATCH", "/v1/channels/{room}/members/bob", {"role": "member"}),
    "ban": ("PUT", "/v1/channels/{room}/bans/cat", {"reason": "r", "seconds": 5}),
    "mute": ("PUT", "/v1/channels/{room}/mute", {"muted": True}),
    "post": (
        "POST",
        "/v1/channels/{room}/messages",
        {"text": "x", "key": "k", "thread": "{message}", "attachments": [], "mentions": ["bob"], "blocks": []},
    ),
    "upload": ("POST", "/v1/uploads", {**UPLOAD, "channel": "{room}"}),
    "command": ("POST", "/v1/channels/{room}/commands", {"command": "c", "key": "k", "text": "t"}),
    "action": ("POST", "/v1/channels/{room}/messages/{message}/actions", {"block": "b", "value": "v", "key": "k"}),
    "bot": ("POST", "/v1/admin/bots", {"name": "n"}),
    "token": ("POST", "/v1/admin/bots/{bot}/tokens", {"name": "n", "scopes": ["read"], "seconds": 60}),
    "change bot": ("PATCH", "/v1/admin/bots/{bot}", {"name": "n", "disabled": False}),
    "incoming webhook": ("POST", "/v1/channels/{room}/hooks", {"name": "n"}),
    "webhook": (
        "POST",
        "/v1/admin/webhooks",
        {"url": "https://hooks.example.com/", "description": "d", "events": [], "channel_kinds": [], "channels": ["{room}"]},
    ),
}
LISTS = {"members", "users", "attachments", "mentions", "blocks", "roles", "scopes", "events", "channel_kinds", "channels"}
FITS = {
    *((field, "a number") for field in ("ttl", "slow_mode_seconds", "seconds", "size")),
    *((field, "null") for field in ("name", "seconds", "key", "thread", "sha256")),
    ("muted", "true"),
    ("disabled", "true"),
}
"""Fields that accept the value although it is not a string."""
PATHS = [
    ("GET", "/v1/channels/{}"),
    ("PATCH", "/v1/channels/{}"),
    ("GET", "/v1/channels/{}/members"),
    ("POST", "/v1/channels/{}/members"),
    ("PATCH", "/v1/channels/{room}/members/{}"),
    ("DELETE", "/v1/channels/{room}/members/{}"),
    ("DELETE", "/v1/channels/{}/members/bob"),
    ("POST", "/v1/channels/{}/join"),
    ("PUT", "/v1/channels/{}/mute"),
    ("PUT", "/v1/channels/{room}/bans/{}"),
    ("DELETE", "/v1/channels/{room}/bans/{}"),
    ("GET", "/v1/channels/{}/messages"),
    ("POST", "/v1/channels/{}/messages"),
    ("POST", "/v1/channels/{}/commands"),
    ("POST", "/v1/commands/answers/{}"),
    ("DELETE", "/v1/admin/commands/{}"),
    ("POST", "/v1/channels/{room}/messages/{}/actions"),
    ("DELETE", "/v1/admin/actions/{}"),
    ("GET", "/v1/channels/{}/events"),
    ("GET", "/v1/uploads/{}"),
    ("POST", "/v1/uploads/{}/complete"),
    ("GET", "/v1/media/{}"),
    ("PATCH", "/v1/admin/webhooks/{}"),
    ("DELETE", "/v1/admin/webhooks/{}"),
    ("GET", "/v1/admin/webhooks/{}/deliveries"),
    ("POST", "/v1/admin/users/{}/revoke"),
    ("PUT", "/v1/admin/users/{}/block"),
    ("DELETE", "/v1/admin/users/{}/block"),
    ("PATCH", "/v1/admin/bots/{}"),
    ("GET", "/v1/admin/bots/{}/tokens"),
    ("DELETE", "/v1/admin/bots/{bot}/tokens/{}"),
    ("GET", "/v1/channels/{}/hooks"),
    ("DELETE", "/v1/channels/{room}/hooks/{}"),
    ("POST", "/v1/channels/{room}/hooks/{}/rotate"),
    ("POST", "/v1/hooks/{}/x"),
    ("POST", "/v1/hooks/{tenant}.x/{}"),
]
QUERIES = [
    "/v1/users?q={}",
    "/v1/users?cursor={}",
    "/v1/me/mentions?cursor={}",
    "/v1/users?limit={}",
    "/v1/search?q={}",
    "/v1/search?q=x&channel={}",
    "/v1/search?q=x&from={}",
    "/v1/search?q=x&cursor={}",
    "/v1/channels/{room}/messages?before={}",
    "/v1/channels/{room}/messages?after={}",
    "/v1/channels/{room}/events?after={}",
    "/v1/channels/{room}/events?limit={}",
    "/v1/channels/{room}/members?cursor={}",
    "/v1/media/{room}?variant={}",
    "/v1/channels?joinable={}",
    "/v1/admin/bots?cursor={}",
]
RAW_PARTS = ["%00", "%ff%fe", "%ed%a0%80", "%2e%2e%2f", "%2f", "a%0d%0aX-Injected: 1", "%25", "%", "%zz", ";", "a%20b", "\u202e"]
"""Path and query parts as sent; most are not UTF-8 or not a single name."""


async def setting(world: World) -> tuple[Api, dict[str, str]]:
    """An owner and administrator, and the objects that the paths name."""
    ann = await world.person("ann", roles=["admin"])
    for name in ("bob", "cat"):
        await world.person(name)
    room = await ann.create("group", name="a room", members=["bob"])
    message = (await ann.post(room, "x"))["message"]
    bot = (await ann.ok("POST", "/v1/admin/bots", {"name": "robot"}, status=201))["user"]
    return ann, {"{bot}": bot, "{room}": room, "{message}": message, "{tenant}": world.tenant}


async def owners(world: World, ann: Api, room: str) -> Iterator[Api]:
    """Owners of the room who are administrators, in turns for ever: the many requests are more than one user may make."""
    others = [await world.person(name, roles=["admin"]) for name in ("amy", "abe", "ada")]
    assert (await ann.call("POST", f"/v1/channels/{room}/members", {"users": [each.user for each in others]})).status == 200
    for each in others:
        assert (await ann.call("PATCH", f"/v1/channels/{room}/members/{each.user}", {"role": "owner"})).status == 200
    return itertools.cycle([ann, *others])


def placed(value: Any, names: dict[str, str]) -> Any:
    """The value with placeholders replaced."""
    text = json.dumps(value)
    for mark, name in names.items():
        text = text.replace(mark, name)
    return json.loads(text)


def filled(template: str, names: dict[str, str], part: str) -> str:
    """The path with the known names, and with a hostile part at the empty place."""
    for mark, name in names.items():
        template = template.replace(mark, name)
    return template.replace("{}", part)


async def answer(caller: Api, method: str, path: str, body: Any) -> tuple[int, str]:
    """Status and reason of an answer, which `Api` has checked against the protocol."""
    content = json.dumps(body).encode()
    came = await caller.call(method, path, content=content, headers={"Content-Type": "application/json"})
    return came.status, came.reason


@pytest.mark.parametrize("name", BODIES)
async def test_a_value_of_the_wrong_type_in_a_body_is_an_invalid_argument(world: World, name: str) -> None:
    ann, names = await setting(world)
    method, path, body = placed(BODIES[name], names)
    caller = world.anonymous() if name == "login" else ann
    for field, fit in body.items():
        wrong = {**NO_TEXT, "null": None, **({} if isinstance(fit, str) else {"a text": "x"})}
        for what, value in wrong.items():
            fits = (field, what) in FITS or (field in LISTS and what == "a list")
            if not fits:
                came = await answer(caller, method, path, {**body, field: value})
                assert came == (400, "INVALID_ARGUMENT"), (field, what)


@pytest.mark.parametrize("name", BODIES)
async def test_unstorable_text_is_an_invalid_argument(world: World, name: str) -> None:
    ann, names = await setting(world)
    method, path, body = placed(BODIES[name], names)
    caller = world.anonymous() if name == "login" else ann
    for field in body:
        for what, text in UNSTORABLE.items():
            came = await answer(caller, method, path, {**body, field: [text] if field in LISTS else text})
            assert came == (400, "INVALID_ARGUMENT"), (field, what)


@pytest.mark.parametrize("name", BODIES)
async def test_strange_text_in_a_body_is_accepted_or_refused_and_causes_no_error(world: World, name: str) -> None:
    ann, names = await setting(world)
    method, path, body = placed(BODIES[name], names)
    caller = world.anonymous() if name == "login" else ann
    for field in body:
        for what, text in STRANGE.items():
            status, _ = await answer(caller, method, path, {**body, field: [text] if field in LISTS else text})
            assert status < 500, (field, what)


@pytest.mark.parametrize("name", BODIES)
async def test_a_field_that_the_server_sets_is_an_invalid_argument(world: World, name: str) -> None:
    ann, names = await setting(world)
    method, path, body = placed(BODIES[name], names)
    caller = world.anonymous() if name == "login" else ann
    for field, value in ASSIGNED.items():
        if field not in body:
            assert await answer(caller, method, path, {**body, field: value}) == (400, "INVALID_ARGUMENT"), field


@pytest.mark.parametrize("name", BODIES)
async def test_a_megabyte_in_a_body_is_too_large_and_deep_nesting_an_invalid_argument(world: World, name: str) -> None:
    ann, names = await setting(world)
    method, path, body = placed(BODIES[name], names)
    caller = world.anonymous() if name == "login" else ann
    for field in body:
        assert await answer(caller, method, path, {**body, field: MEGABYTE}) == (413, "TOO_LARGE"), field
        deep = json.dumps({**body, field: "@"}).replace('"@"', "[" * 50_000 + "]" * 50_000).encode()
        came = await caller.call(method, path, content=deep, headers={"Content-Type": "application/json"})
        assert (came.status, came.reason) == (400, "INVALID_ARGUMENT"), field


def body_for(method: str, template: str) -> dict[str, Any] | None:
    """A valid body for the path."""
    match method, template.rpartition("/")[2]:
        case "POST", "members":
            return {"users": ["bob"]}
        case "POST", "messages":
            return {"text": "x"}
        case "PUT", "mute":
            return {"muted": True}
        case "PUT", _:
            return {"reason": "x"}
        case "PATCH", _:
            return {"role": "member"} if "members" in template else {"topic": "x"}
        case _:
            return None


async def test_hostile_ids_in_paths_are_not_found(world: World) -> None:
    ann, names = await setting(world)
    callers = await owners(world, ann, names["{room}"])
    for method, template in PATHS:
        body = body_for(method, template)
        for part in [*RAW_PARTS, *(quote(text, safe="") for text in STRANGE.values()), "x" * 10_000]:
            path = filled(template, names, part)
            came = await next(callers).call(method, path, body)
            admin_may = "/admin/" in template or "/bans/" in template
            assert came.status in ((400, 404, 204) if admin_may else (400, 404)), (method, path, came.status, came.body)
            assert "x-injected" not in came.headers


async def test_hostile_queries_are_refused_or_find_nothing(world: World) -> None:
    ann, names = await setting(world)
    callers = await owners(world, ann, names["{room}"])
    for template in QUERIES:
        for part in [*RAW_PARTS, *(quote(text, safe="") for text in STRANGE.values()), "x" * 10_000, "9" * 25, "-1", "1e3", "٣"]:
            path = filled(template, names, part)
            came = await next(callers).call("GET", path)
            assert came.status in (200, 400, 404), (path, came.status, came.body)


async def test_repeated_and_unknown_query_fields_cause_no_error(world: World) -> None:
    ann, names = await setting(world)
    room = names["{room}"]
    for query in ("limit=1&limit=x", "before=5&before=1", "after=0&tenant=default&user=bob", "&&&", "=", "limit"):
        assert (await ann.call("GET", f"/v1/channels/{room}/messages?{query}")).status in (200, 400), query


@pytest.mark.parametrize(
    "header",
    [
        ("Idempotency-Key", b"\xff\xfe"),
        ("Idempotency-Key", b"x" * 129),
        ("Idempotency-Key", b""),
        ("X-Request-Id", b"\xff" * 10),
        ("X-Request-Id", b"x" * 10_000),
        ("Content-Type", b"application/json; charset=utf-7"),
        ("Content-Type", b"application/xml"),
        ("Content-Type", b"\xff"),
        ("Content-Encoding", b"gzip"),
        ("X-Forwarded-For", b"127.0.0.1"),
        ("X-HTTP-Method-Override", b"DELETE"),
        ("Range", b"bytes=0-"),
        ("Expect", b"500-nonsense"),
    ],
    ids=str,
)
async def test_hostile_headers_are_answered_by_the_protocol(world: World, header: tuple[str, bytes]) -> None:
    ann, names = await setting(world)
    name, value = header
    sent = {b"Authorization": f"Bearer {ann.token}".encode(), b"Content-Type": b"application/json", name.encode(): value}
    url = f"{ann.url}/v1/channels/{names['{room}']}/messages"
    response = await world.http.post(url, content=b'{"text":"x"}', headers=list(sent.items()))
    assert response.status_code in (200, 201, 400), response.text
    assert len(response.headers["x-request-id"]) <= 128 if response.status_code < 300 else True


async def test_unknown_and_invisible_ids_get_the_same_answer(world: World) -> None:
    """Invisible, foreign, unknown and malformed ids get the same 404, so that a caller cannot probe for ids."""
    ann, names = await setting(world)
    stranger = await world.person("eve")
    foreign = await world.person("ann", tenant=f"{world.tenant}-x", roles=["admin"])
    hidden = names["{room}"]
    upload = (await ann.ok("POST", "/v1/uploads", {**UPLOAD, "channel": hidden}, 201))["id"]
    calls = [
        ("GET", "/v1/channels/{}", None),
        ("PATCH", "/v1/channels/{}", {"topic": "x"}),
        ("GET", "/v1/channels/{}/members", None),
        ("POST", "/v1/channels/{}/members", {"users": ["eve"], "role": "owner"}),
        ("PATCH", "/v1/channels/{}/members/bob", {"role": "owner"}),
        ("DELETE", "/v1/channels/{}/members/bob", None),
        ("POST", "/v1/channels/{}/join", None),
        ("PUT", "/v1/channels/{}/mute", {"muted": True}),
        ("PUT", "/v1/channels/{}/bans/bob", {"reason": "x"}),
        ("DELETE", "/v1/channels/{}/bans/bob", None),
        ("GET", "/v1/channels/{}/messages", None),
        ("POST", "/v1/channels/{}/messages", {"text": "x"}),
        ("GET", "/v1/channels/{}/events", None),
        ("GET", "/v1/search?q=x&channel={}", None),
    ]
    media = [("GET", "/v1/uploads/{}", None), ("POST", "/v1/uploads/{}/complete", None), ("GET", "/v1/media/{}", None)]
    for known, list_ in ((hidden, calls), (upload, media)):
        for method, template, body in list_:
            answers = {
                (came.status, json.dumps(came.body))
                for caller, id_ in (
                    (stranger, known),
                    (foreign, known),
                    (stranger, str(uuid.uuid4())),
                    (foreign, str(uuid.uuid4())),
                    (stranger, "no-uuid"),
                    (stranger, known.upper()),
                )
                for came in [await caller.call(method, template.format(id_), body)]
            }
            assert len(answers) == 1, (method, template, answers)
            assert next(iter(answers))[0] == 404, (method, template, answers)
    assert (await foreign.ok("GET", "/v1/search?q=x"))["items"] == []
    assert await stranger.channels() == await foreign.channels() == []
