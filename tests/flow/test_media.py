"""Files: uploaded directly to object storage, scanned, and visible to members only."""

import hashlib
import struct
import zlib
from typing import Any

import httpx
import pytest

from tests.client import Api, shapes
from tests.flow.world import World, eventually, live


def picture(width: int = 64, height: int = 48) -> bytes:
    """A PNG of one colour."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = (b"\x00" + b"\x20\x60\xa0" * width) * height
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


async def announced(api: Api, room: str, data: bytes, type_: str = "image/png", **fields: Any) -> dict[str, Any]:
    body = {"name": "a file.png", "size": len(data), "type": type_, "channel": room, **fields}
    return await api.ok("POST", "/v1/uploads", body, 201, shapes.upload_created)  # type: ignore[no-any-return]


async def sent(made: dict[str, Any], data: bytes) -> int:
    """Upload the bytes with the server's form; returns the storage's status code."""
    form = made["upload"]
    async with httpx.AsyncClient() as http:
        if "fields" in form:
            files = {"file": ("file", data)}
            answer = await http.request(form["method"], form["url"], headers=form["headers"], data=form["fields"], files=files)
        else:
            answer = await http.request(form["method"], form["url"], headers=form["headers"], content=data)
    return answer.status_code


async def judged(api: Api, id_: str) -> dict[str, Any]:
    """The upload, once it has been scanned."""
    await api.ok("POST", f"/v1/uploads/{id_}/complete")

    async def look() -> dict[str, Any] | None:
        upload: dict[str, Any] = await api.ok("GET", f"/v1/uploads/{id_}", shape=shapes.upload)
        return None if upload["state"] in {"pending", "scanning"} else upload

    found: dict[str, Any] = await eventually(look, within=20)
    return found


async def uploaded(api: Api, room: str, data: bytes, **fields: Any) -> dict[str, Any]:
    made = await announced(api, room, data, **fields)
    assert await sent(made, data) < 300
    return await judged(api, made["id"])


async def test_a_picture_becomes_clean_with_its_size_and_a_thumbnail(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann, bob)
    data = picture()
    upload = await uploaded(ann, room, data, sha256=hashlib.sha256(data).hexdigest())
    assert (upload["state"], upload["width"], upload["height"], upload["size"]) == ("clean", 64, 48, len(data))
    assert await opened(ann, upload["id"]) == data
    for variant in ("", "?variant=thumb"):
        assert await opened(bob, upload["id"] + variant)


async def opened(api: Api, media: str) -> bytes:
    """The bytes behind a media link."""
    link = await api.call("GET", f"/v1/media/{media}")
    assert link.status == 302
    async with httpx.AsyncClient() as http:
        found = await http.get(link.headers["location"])
    assert found.status_code == 200
    return found.content


async def test_others_get_a_picture_without_what_is_behind_it_and_files_as_they_are(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann, bob)
    data = picture() + b"<script>glued</script>"
    upload = await uploaded(ann, room, data)
    assert upload["state"] == "clean"
    assert await opened(ann, upload["id"]) == data
    for api in (bob, world.elsewhere(bob)):
        assert b"glued" not in await opened(api, upload["id"])
    file = await uploaded(ann, room, data, type_="application/octet-stream")
    assert await opened(bob, file["id"]) == data


async def test_too_many_announcements_are_refused_with_the_time_to_wait(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann, bob)
    body = {"name": "x", "size": 1, "type": "text/plain", "channel": room}
    answers = [await ann.call("POST", "/v1/uploads", body) for _ in range(51)]
    assert [answer.status for answer in answers] == [201] * 50 + [429]
    assert answers[-1].reason == "RATE_LIMITED"
    assert int(answers[-1].headers["retry-after"]) >= 1
    await announced(bob, room, picture())


async def test_a_clean_file_can_be_attached_to_a_message(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann, bob)
    data = picture()
    upload = await uploaded(ann, room, data)
    async with live(ann) as here, live(bob) as there:
        assert (await here.post(room, "k", "look", attachments=[upload["id"]]))["type"] == "ack"
        (attachment,) = (await there.expect("event", kind="message.posted"))["data"]["attachments"]
    expected = {"id": upload["id"], "name": "a file.png", "size": len(data), "type": "image/png", "width": 64, "height": 48}
    assert attachment == expected
    assert (await bob.messages(room))[0]["attachments"] == [expected]


async def test_a_file_disappears_with_the_last_message_that_carries_it(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann, bob)
    upload = (await uploaded(ann, room, picture()))["id"]
    async with live(ann) as socket:
        one, two = [(await socket.post(room, key, "look", attachments=[upload]))["message"] for key in ("one", "two")]
        await socket.request("delete", channel=room, message=one)
        assert (await bob.call("GET", f"/v1/media/{upload}")).status == 302
        await socket.request("delete", channel=room, message=two)
    for api in (ann, bob, world.elsewhere(bob)):
        for path in (f"/v1/media/{upload}", f"/v1/media/{upload}?variant=thumb", f"/v1/uploads/{upload}"):
            await api.refused("GET", path, reason="NOT_FOUND")


async def test_only_members_of_the_channel_may_read_its_media(world: World) -> None:
    ann, bob, cat = await world.people("ann", "bob", "cat")
    room = await world.room(ann, bob)
    upload = await uploaded(ann, room, picture())
    await cat.refused("GET", f"/v1/media/{upload['id']}", reason="NOT_FOUND")
    await ann.ok("DELETE", f"/v1/channels/{room}/members/bob", status=204)
    for api in (bob, world.elsewhere(bob)):
        await api.refused("GET", f"/v1/media/{upload['id']}", reason="NOT_FOUND")


async def test_only_members_may_upload_to_a_channel(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann)
    body = {"name": "x.png", "size": 10, "type": "image/png", "channel": room}
    await bob.refused("POST", "/v1/uploads", body, reason="NOT_FOUND")


async def test_complete_without_the_bytes_is_a_conflict(world: World) -> None:
    ann = await world.person("ann")
    made = await announced(ann, await world.room(ann), picture())
    await ann.refused("POST", f"/v1/uploads/{made['id']}/complete", reason="CONFLICT")
    await ann.refused("GET", f"/v1/media/{made['id']}", reason="CONFLICT")


async def test_bytes_of_another_type_than_announced_are_never_clean(world: World) -> None:
    ann = await world.person("ann")
    room = await world.room(ann)
    data = picture()
    wrong_sum = await announced(ann, room, data, sha256="0" * 64)
    not_a_picture = await announced(ann, room, b"#!/bin/sh\n" * 5)
    for made, content in ((wrong_sum, data), (not_a_picture, b"#!/bin/sh\n" * 5)):
        if await sent(made, content) < 300:
            upload = await judged(ann, made["id"])
            assert upload["state"] in {"failed", "blocked"}
            assert upload["reason"]


async def test_the_storage_refuses_more_bytes_than_were_announced(world: World) -> None:
    ann = await world.person("ann")
    data = picture()
    made = await announced(ann, await world.room(ann), data)
    if await sent(made, data + b"\x00" * 100) < 300:
        assert (await judged(ann, made["id"]))["state"] == "failed"


async def test_the_eicar_test_file_is_blocked(world: World) -> None:
    ann = await world.person("ann")
    data = ("X5O!P%@AP[4\\PZX54(P^)7CC)7}" + "$EICAR-STANDARD-" + "ANTIVIRUS-TEST-FILE!$H+H*").encode()
    upload = await uploaded(ann, await world.room(ann), data, type_="text/plain", name="innocent.txt")
    assert upload["state"] == "blocked"
    await ann.refused("GET", f"/v1/media/{upload['id']}", reason="BLOCKED_MEDIA")


async def test_attaching_an_infected_file_is_blocked_and_an_unknown_one_not_found(world: World) -> None:
    ann = await world.person("ann")
    room = await world.room(ann)
    pending = await announced(ann, room, picture())
    elsewhere = await uploaded(ann, await world.room(ann), picture())
    async with live(ann) as socket:
        answer = await socket.post(room, "k1", "x", attachments=[pending["id"]])
        assert answer["reason"] == "BLOCKED_MEDIA"
        for id_ in (elsewhere["id"], "00000000-0000-4000-8000-000000000000", "no-uuid"):
            answer = await socket.post(room, f"k-{id_}", "x", attachments=[id_])
            assert answer["reason"] == "NOT_FOUND"


@pytest.mark.parametrize(
    "change",
    [
        {"size": 0},
        {"size": -1},
        {"size": 10**12},
        {"name": ""},
        {"name": "x" * 300},
        {"type": ""},
        {"type": "not a type"},
        {"sha256": "x"},
    ],
    ids=str,
)
async def test_an_invalid_announcement_is_refused(world: World, change: dict[str, Any]) -> None:
    ann = await world.person("ann")
    body = {"name": "x.png", "size": 10, "type": "image/png", "channel": await world.room(ann), **change}
    answer = await ann.call("POST", "/v1/uploads", body)
    assert answer.reason in {"INVALID_ARGUMENT", "TOO_LARGE"}
