"""Deliveries: signed, in order per channel, repeated until they succeed or are dead letters, each webhook on its own."""

from __future__ import annotations

import asyncio

import pytest
from standardwebhooks.webhooks import Webhook as Verifier
from standardwebhooks.webhooks import WebhookVerificationError

from chassis.errors import Conflict, NotFound
from hubbub.events.v1.events_pb2 import EventKind
from hubbub.integrations.v1 import integrations_pb2 as nouns
from hubbub.integrations.v1 import integrations_service_pb2 as rpc
from hubbub.messages.v1.messages_pb2 import ChannelKind
from integrations import schedule
from integrations.sweep import Sweep
from integrations.webhook import Ending, Outcome
from services.integrations.tests.conftest import OTHER_ROOM, ROOM, Harness
from services.integrations.tests.receiver import Received, Receiver, answer, receiver

WAITING, DELIVERED, DEAD = (
    nouns.DELIVERY_STATE_WAITING,
    nouns.DELIVERY_STATE_DELIVERED,
    nouns.DELIVERY_STATE_DEAD,
)


def verified(received: Received, secret: str) -> bool:
    try:
        Verifier(secret).verify(received.body, received.headers)
    except WebhookVerificationError:
        return False
    return True


async def stall(_writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def test_an_event_is_delivered_once_with_a_signature_that_the_public_library_accepts(harness: Harness) -> None:
    async with receiver() as server:
        webhook, secret = await harness.create(server.url)
        await harness.add(harness.event(1))
        await harness.add(harness.event(1))
        async with harness.delivering():
            await server.arrived(1)
        (received,) = server.received
        (delivery,) = await harness.deliveries(webhook)
    assert secret.startswith("whsec_")
    assert verified(received, secret)
    assert not verified(received, "whsec_" + "A" * 44)
    assert received.body == harness.event(1).body
    assert received.headers["content-type"] == "application/json"
    assert received.headers["webhook-id"] == delivery.id
    assert (delivery.state, delivery.attempts, delivery.status, delivery.outcome) == (DELIVERED, 1, 200, "delivered")
    found = await harness.webhook(webhook)
    assert (found.waiting, found.dead, found.HasField("failing_since")) == (0, 0, False)


async def test_a_webhook_receives_only_what_it_subscribes_to(harness: Harness) -> None:
    async with receiver() as server:
        wanted = {"kinds": [ChannelKind.CHANNEL_KIND_GROUP], "channels": [ROOM]}
        await harness.create(server.url, events=[EventKind.EVENT_KIND_MESSAGE_POSTED], **wanted)  # type: ignore[arg-type]
        await harness.add(
            harness.event(1),
            harness.event(2, kind="message.edited"),
            harness.event(3, channel_kind="direct"),
            harness.event(4, OTHER_ROOM),
            harness.event(5),
        )
        async with harness.delivering():
            await server.arrived(2)
    assert server.seqs == [1, 5]


async def test_an_event_that_fails_holds_back_its_channel_and_no_other(harness: Harness) -> None:
    async with receiver() as server:
        webhook, _ = await harness.create(server.url)
        server.behaviour = lambda received: answer(500 if received.channel == ROOM else 200)
        events = [harness.event(seq, channel) for seq in (1, 2, 3) for channel in (ROOM, OTHER_ROOM)]
        await harness.add(*events)
        async with harness.delivering():
            await server.arrived(4)
        assert [each.seq for each in server.received if each.channel == OTHER_ROOM] == [1, 2, 3]
        assert [each.seq for each in server.received if each.channel == ROOM] == [1]
        server.behaviour = lambda _: answer()
        await harness.make_due(webhook)
        async with harness.delivering():
            await server.arrived(7)
    assert [each.seq for each in server.received if each.channel == ROOM] == [1, 1, 2, 3]
    first, second = [each.headers for each in server.received if each.channel == ROOM][:2]
    assert first["webhook-id"] == second["webhook-id"]
    assert {each.state for each in await harness.deliveries(webhook)} == {DELIVERED}


async def test_endpoints_that_stall_or_refuse_connections_delay_no_other(harness: Harness) -> None:
    async with receiver() as good, receiver() as stalling:
        stalling.behaviour = lambda _: stall
        dead = Receiver("127.0.0.1", port=1)
        webhooks = [(await harness.create(each.url.replace(":1/", ":1024/")))[0] for each in (stalling, dead)]
        await harness.create(good.url)
        rooms = [f"0190a0a0-0000-7000-8000-{number:012d}" for number in range(20)]
        for seq in range(1, 6):
            await harness.add(*(harness.event(seq, room) for room in rooms))
        async with harness.delivering():
            await good.arrived(100)
        assert [(await harness.deliveries(each, DELIVERED)) for each in webhooks] == [[], []]
    for room in rooms:
        assert [each.seq for each in good.received if each.channel == room] == [1, 2, 3, 4, 5]


async def test_an_endpoint_gets_at_most_four_requests_at_one_time(harness: Harness) -> None:
    under_way: list[int] = [0]
    four = asyncio.Event()

    async def wait_for_others(writer: asyncio.StreamWriter) -> None:
        under_way.append(under_way[-1] + 1)
        if under_way[-1] == 4:
            four.set()
        await four.wait()
        for _ in range(20):
            await asyncio.sleep(0)
        under_way.append(under_way[-1] - 1)
        writer.write(answer())
        await writer.drain()

    async with receiver() as server:
        await harness.create(server.url)
        server.behaviour = lambda _: wait_for_others
        await harness.add(*(harness.event(1, f"0190a0a0-0000-7000-8000-{number:012d}") for number in range(20)))
        async with harness.delivering():
            await server.arrived(20)
    assert max(under_way) == 4


async def test_after_three_days_a_delivery_is_a_dead_letter_and_its_channel_goes_on(harness: Harness) -> None:
    async with receiver() as server:
        webhook, secret = await harness.create(server.url)
        server.behaviour = lambda received: answer(503, b"out of order") if received.seq == 1 else answer()
        await harness.add(harness.event(1), harness.event(2))
        async with harness.delivering():
            await server.arrived(1)
        await harness.age(webhook, 2.9)
        async with harness.delivering():
            await server.arrived(2)
        assert [each.state for each in await harness.deliveries(webhook)] == [WAITING, WAITING]
        await harness.age(webhook, 0.2)
        async with harness.delivering():
            await server.arrived(4)
        assert server.seqs == [1, 1, 1, 2]
        dead, delivered = await harness.deliveries(webhook)
        assert (dead.state, dead.attempts, dead.status, dead.outcome, delivered.state) == (DEAD, 3, 503, "refused", DELIVERED)
        asked = rpc.GetDeliveryRequest(caller=harness.caller(), webhook=webhook, delivery=dead.id)
        seen = await harness.service.GetDelivery(asked, None)
        assert (seen.body, seen.answer) == (harness.event(1).body, b"out of order")
        assert ((await harness.webhook(webhook)).waiting, (await harness.webhook(webhook)).dead) == (0, 1)

        server.behaviour = lambda _: answer()
        assert await harness.resend(webhook, dead.id) == 1
        with pytest.raises(Conflict):
            await harness.resend(webhook, dead.id)
        with pytest.raises(NotFound):
            await harness.resend(webhook, ROOM)
        async with harness.delivering():
            await server.arrived(5)
        assert verified(server.received[-1], secret)
        assert server.received[-1].headers["webhook-id"] == dead.id
        found = await harness.webhook(webhook)
        assert (found.waiting, found.dead) == (0, 0)


async def test_all_dead_letters_can_be_sent_again_in_order(harness: Harness) -> None:
    async with receiver() as server:
        webhook, _ = await harness.create(server.url)
        await harness.add(*(harness.event(seq) for seq in (1, 2, 3)))
        await harness.execute(
            "UPDATE deliveries SET state = 'dead', head = false, finished_at = now() WHERE webhook = %s AND seq < 3", webhook
        )
        await harness.execute("UPDATE webhooks SET waiting = 1, dead = 2 WHERE id = %s", webhook)
        assert await harness.resend(webhook) == 2
        async with harness.delivering():
            await server.arrived(3)
    assert server.seqs == [1, 2, 3]


async def test_an_endpoint_that_is_gone_disables_its_webhook_until_it_is_enabled(harness: Harness) -> None:
    async with receiver() as server:
        webhook, _ = await harness.create(server.url)
        server.behaviour = lambda _: answer(410)
        await harness.add(harness.event(1), harness.event(2))
        async with harness.delivering():
            await server.arrived(1)
        found = await harness.webhook(webhook)
        assert (found.state, found.reason, found.waiting) == (nouns.WEBHOOK_STATE_DISABLED, nouns.WEBHOOK_REASON_GONE, 2)
        audited = await harness.service.ListIntegrationAudit(rpc.ListIntegrationAuditRequest(caller=harness.caller()), None)
        last = audited.records[-1]
        assert (last.actor, last.action, last.subject, last.reason) == ("", "webhook.disabled", webhook, "gone")
        await harness.add(harness.event(3))
        await harness.make_due(webhook)
        server.behaviour = lambda _: answer()
        found = await harness.enable(webhook)
        assert (found.state, found.reason) == (nouns.WEBHOOK_STATE_ACTIVE, nouns.WEBHOOK_REASON_UNSPECIFIED)
        await harness.add(harness.event(4))
        async with harness.delivering():
            await server.arrived(4)
    assert server.seqs == [1, 1, 2, 4]


async def test_five_days_of_failures_disable_a_webhook_and_one_success_resets_them(harness: Harness) -> None:
    async with receiver() as server:
        webhook, _ = await harness.create(server.url)
        server.behaviour = lambda received: answer(500 if received.seq != 2 else 200)
        await harness.add(harness.event(1), harness.event(2, OTHER_ROOM))
        async with harness.delivering():
            await server.arrived(2)
        await harness.execute("UPDATE webhooks SET failing_since = now() - interval '4 days' WHERE id = %s", webhook)
        await harness.add(harness.event(2, OTHER_ROOM, kind="message.edited"))
        await harness.execute("DELETE FROM deliveries WHERE webhook = %s AND seq = 2", webhook)
        await harness.add(harness.event(2, OTHER_ROOM))
        async with harness.delivering():
            await server.arrived(3)
        assert not (await harness.webhook(webhook)).HasField("failing_since")
        await harness.make_due(webhook)
        async with harness.delivering():
            await server.arrived(4)
        await harness.execute("UPDATE webhooks SET failing_since = now() - interval '5 days' WHERE id = %s", webhook)
        await harness.make_due(webhook)
        async with harness.delivering():
            await server.arrived(5)
        found = await harness.webhook(webhook)
        assert (found.state, found.reason) == (nouns.WEBHOOK_STATE_DISABLED, nouns.WEBHOOK_REASON_FAILING)


@pytest.mark.parametrize("limits", [{"deliveries": 3}, {"size": 200}])
async def test_a_full_backlog_suspends_the_webhook_and_what_waits_is_delivered(harness: Harness, limits: dict[str, int]) -> None:
    async with receiver() as server:
        webhook, _ = await harness.create(server.url)
        await harness.add(harness.event(1), harness.event(2), **limits)
        await harness.add(harness.event(3), harness.event(4), **limits)
        found = await harness.webhook(webhook)
        assert (found.state, found.reason, found.waiting) == (
            nouns.WEBHOOK_STATE_SUSPENDED,
            nouns.WEBHOOK_REASON_BACKLOG,
            2,
        )
        async with harness.delivering():
            await server.arrived(2)
        await harness.enable(webhook)
        await harness.add(harness.event(5), **limits)
        async with harness.delivering():
            await server.arrived(3)
    assert server.seqs == [1, 2, 5]


async def test_a_disabled_webhook_receives_nothing(harness: Harness) -> None:
    async with receiver() as server, receiver() as other:
        webhook, _ = await harness.create(server.url)
        await harness.create(other.url)
        await harness.add(harness.event(1))
        await harness.enable(webhook, enabled=False)
        await harness.make_due(webhook)  # as a process leaves it that is killed before it ends its lease
        await harness.add(harness.event(2))
        async with harness.delivering():
            await other.arrived(2)
        assert server.connections == 0
        await harness.enable(webhook)
        async with harness.delivering():
            await server.arrived(1)
    assert server.seqs == [1]


async def test_after_a_rotation_both_secrets_sign_until_the_old_one_ends(harness: Harness) -> None:
    async with receiver() as server:
        webhook, old = await harness.create(server.url)
        asked = rpc.RotateWebhookSecretRequest(caller=harness.caller(), webhook=webhook, overlap_seconds=3600)
        rotated = await harness.service.RotateWebhookSecret(asked, None)
        assert rotated.webhook.HasField("previous_secret_until")
        await harness.add(harness.event(1))
        async with harness.delivering():
            await server.arrived(1)
        await harness.execute("UPDATE webhooks SET previous_until = now() WHERE id = %s", webhook)
        await harness.add(harness.event(2))
        async with harness.delivering():
            await server.arrived(2)
        assert not (await harness.webhook(webhook)).HasField("previous_secret_until")
    during, after = server.received
    assert [verified(during, secret) for secret in (old, rotated.secret)] == [True, True]
    assert [verified(after, secret) for secret in (old, rotated.secret)] == [False, True]
    assert during.headers["webhook-signature"].count("v1,") == 2


async def test_a_process_that_lost_its_lease_records_nothing(harness: Harness) -> None:
    async with receiver() as server:
        webhook, _ = await harness.create(server.url)
        answers, taken = asyncio.Event(), asyncio.Event()

        async def slow(writer: asyncio.StreamWriter) -> None:
            taken.set()
            await answers.wait()
            writer.write(answer(500))
            await writer.drain()

        server.behaviour = lambda _: slow
        await harness.add(harness.event(1))
        async with harness.delivering():
            await taken.wait()
            await harness.execute("UPDATE webhooks SET lease = gen_random_uuid() WHERE id = %s", webhook)
            answers.set()
        (delivery,) = await harness.deliveries(webhook)
    assert (delivery.state, delivery.attempts) == (WAITING, 0)


async def test_old_deliveries_are_removed(harness: Harness) -> None:
    webhook, _ = await harness.create("http://127.0.0.1:1024/")
    await harness.add(*(harness.event(seq) for seq in range(1, 6)))
    for state, seq, days in (("delivered", 1, 6.9), ("delivered", 2, 7.1), ("dead", 3, 29.9), ("dead", 4, 30.1)):
        await harness.execute(
            "UPDATE deliveries SET state = %s, finished_at = now() - make_interval(secs => %s), head = false"
            " WHERE webhook = %s AND seq = %s",
            state,
            days * 86_400,
            webhook,
            seq,
        )
    await harness.execute("UPDATE webhooks SET waiting = 1, dead = 2 WHERE id = %s", webhook)
    await Sweep(harness.database).once()
    assert [each.seq for each in await harness.deliveries(webhook)] == [1, 3, 5]
    assert (await harness.webhook(webhook)).dead == 1


def test_waits_grow_to_six_hours_with_jitter_and_follow_retry_after() -> None:
    failed = Outcome(Ending.REFUSED)
    waits = [schedule.wait_seconds(attempt, failed) for attempt in (1, 2, 3, 20, 1_000)]
    for wait, bound in zip(waits, (5, 15, 45, 21_600, 21_600), strict=True):
        assert bound * 0.75 <= wait <= bound * 1.25
    assert len({schedule.wait_seconds(1, failed) for _ in range(10)}) > 1
    assert schedule.wait_seconds(1, Outcome(Ending.REFUSED, 503, retry_after_seconds=600)) == 600
    assert schedule.wait_seconds(1, Outcome(Ending.REFUSED, 503, retry_after_seconds=1e9)) == 21_600
