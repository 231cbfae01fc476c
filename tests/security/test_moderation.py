"""Silences, blocks and the audit log, over HTTP and sockets."""

import hashlib
import json
import uuid

from tests.flow.world import World, live


async def test_a_silence_applies_to_every_interface_of_every_gateway(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann, bob)
    silence = f"/v1/channels/{room}/silences/bob"
    async with live(bob) as socket, live(world.elsewhere(bob)) as other:
        await ann.ok("PUT", silence, {"seconds": 60, "reason": "loud"}, status=204)
        for each in (socket, other):
            assert (await each.post(room, str(uuid.uuid4()), "hear me"))["reason"] == "NOT_ALLOWED"
        await bob.refused("POST", f"/v1/channels/{room}/messages", {"text": "hear me"}, reason="NOT_ALLOWED")
        await bob.refused("DELETE", silence, reason="NOT_ALLOWED")
        await ann.ok("DELETE", silence, status=204)
        assert (await socket.post(room, str(uuid.uuid4()), "again"))["type"] == "ack"
    for body in (
        {"seconds": 0, "reason": ""},
        {"reason": "x"},
        {"seconds": "60", "reason": "x"},
        {"seconds": 1 << 40, "reason": "x"},
    ):
        await ann.refused("PUT", silence, body, reason="INVALID_ARGUMENT")


async def test_a_blocked_user_cannot_send_direct_messages(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann, bob, kind="direct")
    await ann.ok("PUT", "/v1/me/blocks/bob", status=204)
    assert (await ann.ok("GET", "/v1/me/blocks"))["items"] == [{"user": "bob", "name": "bob"}]
    assert (await bob.ok("GET", "/v1/me/blocks"))["items"] == []
    async with live(ann) as hers, live(bob) as his:
        assert (await his.post(room, "k", "hear me"))["reason"] == "NOT_ALLOWED"
        await hers.round_trip()
        assert not hers.received("event", kind="message.posted")
        await ann.ok("DELETE", "/v1/me/blocks/bob", status=204)
        assert (await his.post(room, "k2", "friends again"))["type"] == "ack"
    await ann.refused("PUT", "/v1/me/blocks/unknown", reason="NOT_FOUND")
    await ann.refused("PUT", "/v1/me/blocks/ann", reason="NOT_ALLOWED")


async def test_the_exported_audit_log_can_be_verified(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    admin = await world.person("root", roles=["admin"])
    room = await world.room(ann, bob)
    message = (await bob.post(room, "words"))["message"]
    async with live(ann) as socket:
        assert (await socket.request("delete", channel=room, message=message))["type"] == "ack"
    await ann.ok("PUT", f"/v1/channels/{room}/bans/bob", {"reason": "enough"}, status=204)
    await admin.ok("PUT", "/v1/admin/users/bob/block", status=204)
    page = await admin.ok("GET", "/v1/admin/audit")
    assert [(each["action"], each["subject"]) for each in page["items"]] == [
        ("message.deleted", "bob"),
        ("member.banned", "bob"),
        ("user.blocked", "bob"),
    ]
    exported = await admin.call("GET", "/v1/admin/audit/export")
    assert exported.headers["content-type"].startswith("application/x-ndjson")
    records = [json.loads(line) for line in exported.body.splitlines()]
    assert records == page["items"]
    digest = bytes(32)
    for number, record in enumerate(records, 1):
        said = [world.tenant, str(number), record["at"], record["actor"], record["action"]]
        said += [record["channel"] or "", record["subject"] or "", record["details"]]
        sealed = b"".join(b"%d:%b," % (len(each.encode()), each.encode()) for each in said)
        assert record["previous"] == digest.hex()
        digest = hashlib.sha256(digest + sealed).digest()
        assert record["digest"] == digest.hex()
    for path in ("/v1/admin/audit", "/v1/admin/audit/export"):
        await ann.refused("GET", path, reason="NOT_ALLOWED")
    foreigner = await world.person("root", roles=["admin"], tenant=f"{world.tenant}-2")
    assert (await foreigner.ok("GET", "/v1/admin/audit"))["items"] == []


async def test_only_moderators_can_read_a_report(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann, bob)
    message = (await ann.post(room, "words"))["message"]
    path, queue = f"/v1/channels/{room}/messages/{message}/reports", f"/v1/channels/{room}/reports"
    made = await bob.ok("POST", path, {"reason": "rude"}, status=201)
    assert await bob.ok("POST", path, {"reason": "rude"}) == made
    (shown,) = (await ann.ok("GET", queue))["items"]
    assert (shown["id"], shown["message"], shown["text"], shown["reporter"]) == (made["id"], message, "words", "bob")
    assert [each["id"] for each in shown["context"]] == [message]
    await bob.refused("GET", queue, reason="NOT_ALLOWED")
    await ann.refused("POST", f"{queue}/{made['id']}/resolve", {"resolution": "maybe"}, reason="INVALID_ARGUMENT")
    await ann.ok("POST", f"{queue}/{made['id']}/resolve", {"resolution": "dismissed"}, status=204)
    assert (await ann.ok("GET", queue))["items"] == []
