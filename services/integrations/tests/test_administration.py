"""The RPCs about webhooks: for administrators of their tenant only, with checked settings and secrets that are shown once."""

from __future__ import annotations

from typing import Any

import pytest

from chassis.errors import Conflict, InvalidArgument, NotAllowed, NotFound, TooLarge
from hubbub.integrations.v1 import integrations_service_pb2 as rpc
from hubbub.messages.v1.messages_pb2 import Caller
from integrations.signing import UnreadableSecretError, Vault
from services.integrations.tests.conftest import KEY, ROOM, Harness

URL = "https://hooks.example.com/a"
BOT = "bot:0123456789abcdef01234567"


def requests(caller: Caller, webhook: str) -> list[tuple[str, Any]]:
    """A request for each RPC of administrators."""
    settings = rpc.WebhookSettings(url=URL)
    return [
        ("CreateWebhook", rpc.CreateWebhookRequest(caller=caller, settings=settings)),
        ("ListWebhooks", rpc.ListWebhooksRequest(caller=caller)),
        ("UpdateWebhook", rpc.UpdateWebhookRequest(caller=caller, webhook=webhook, enabled=False)),
        ("DeleteWebhook", rpc.DeleteWebhookRequest(caller=caller, webhook=webhook)),
        ("RotateWebhookSecret", rpc.RotateWebhookSecretRequest(caller=caller, webhook=webhook)),
        ("ListDeliveries", rpc.ListDeliveriesRequest(caller=caller, webhook=webhook)),
        ("GetDelivery", rpc.GetDeliveryRequest(caller=caller, webhook=webhook, delivery=ROOM)),
        ("ResendDeliveries", rpc.ResendDeliveriesRequest(caller=caller, webhook=webhook)),
        ("ListIntegrationAudit", rpc.ListIntegrationAuditRequest(caller=caller)),
        ("CreateCommand", rpc.CreateCommandRequest(caller=caller, name="deploy", url=URL, bot=BOT)),
        ("CreateActionEndpoint", rpc.CreateActionEndpointRequest(caller=caller, url=URL, bot=BOT)),
        ("ListActionEndpoints", rpc.ListActionEndpointsRequest(caller=caller)),
        ("DeleteActionEndpoint", rpc.DeleteActionEndpointRequest(caller=caller, endpoint=webhook)),
        ("DeleteCommand", rpc.DeleteCommandRequest(caller=caller, command=webhook)),
    ]


def test_every_rpc_is_tested_here() -> None:
    known = {method.name for method in rpc.DESCRIPTOR.services_by_name["IntegrationsService"].methods}
    assert {name for name, _ in requests(Caller(), "")} | {"ListCommands", "RunCommand", "RunAction", "AnswerCommand"} == known


async def test_every_rpc_is_refused_to_a_user_who_is_no_administrator(harness: Harness) -> None:
    webhook, _ = await harness.create(URL)
    for name, request in requests(harness.caller(admin=False), webhook):
        with pytest.raises(NotAllowed):
            await getattr(harness.service, name)(request, None)
    assert (await harness.webhook(webhook)).url == URL


async def test_no_rpc_reaches_a_webhook_of_another_tenant(harness: Harness) -> None:
    webhook, _ = await harness.create(URL)
    await harness.add(harness.event(1))
    (delivery,) = await harness.deliveries(webhook)
    stranger = harness.caller(tenant="stranger")
    for name, request in requests(stranger, webhook):
        if name == "GetDelivery":
            request.delivery = delivery.id
        if not name.startswith(("Create", "List")) or name == "ListDeliveries":
            with pytest.raises(NotFound):
                await getattr(harness.service, name)(request, None)
    assert not (await harness.service.ListWebhooks(rpc.ListWebhooksRequest(caller=stranger), None)).webhooks
    assert (await harness.webhook(webhook)).waiting == 1


@pytest.mark.parametrize(
    "settings",
    [
        {"url": "ftp://hooks.example.com"},
        {"url": "https://a:b@hooks.example.com"},
        {"url": URL, "description": "x" * 201},
        {"url": URL, "description": "a\u202eb"},
        {"url": URL, "events": [0]},
        {"url": URL, "events": [99]},
        {"url": URL, "channel_kinds": [99]},
        {"url": URL, "channels": ["x"]},
        {"url": URL, "channels": [ROOM] * 101},
    ],
)
async def test_unfit_settings_are_refused(harness: Harness, settings: dict[str, Any]) -> None:
    webhook, _ = await harness.create(URL)
    given = rpc.WebhookSettings(**settings)
    with pytest.raises(InvalidArgument):
        await harness.service.CreateWebhook(rpc.CreateWebhookRequest(caller=harness.caller(), settings=given), None)
    asked = rpc.UpdateWebhookRequest(caller=harness.caller(), webhook=webhook, settings=given)
    with pytest.raises(InvalidArgument):
        await harness.service.UpdateWebhook(asked, None)


async def test_settings_are_replaced_as_a_whole(harness: Harness) -> None:
    webhook, _ = await harness.create(URL, events=[1, 2], channels=[ROOM])  # type: ignore[list-item]  # numbers of kinds
    settings = rpc.WebhookSettings(url="https://other.example.com/", description="Other", channel_kinds=[2, 2])  # type: ignore[list-item]
    asked = rpc.UpdateWebhookRequest(caller=harness.caller(), webhook=webhook, settings=settings)
    found = (await harness.service.UpdateWebhook(asked, None)).webhook
    assert (found.url, found.description) == ("https://other.example.com/", "Other")
    assert (list(found.events), list(found.channel_kinds), list(found.channels)) == ([], [2], [])
    assert found == await harness.webhook(webhook)


async def test_a_tenant_has_a_limited_number_of_webhooks_in_pages(harness: Harness) -> None:
    made = [(await harness.create(URL))[0] for _ in range(5)]
    with pytest.raises(TooLarge):
        await harness.create(URL)
    listed, token = [], ""
    while True:
        asked = rpc.ListWebhooksRequest(caller=harness.caller(), page_size=2, page_token=token)
        page = await harness.service.ListWebhooks(asked, None)
        listed += [each.id for each in page.webhooks]
        token = page.next_page_token
        if not token:
            break
    assert listed == made


async def test_deliveries_are_listed_newest_first_in_pages(harness: Harness) -> None:
    webhook, _ = await harness.create(URL)
    await harness.add(*(harness.event(seq) for seq in range(1, 6)))
    listed, token = [], ""
    while True:
        asked = rpc.ListDeliveriesRequest(caller=harness.caller(), webhook=webhook, page_size=2, page_token=token)
        page = await harness.service.ListDeliveries(asked, None)
        listed += [each.seq for each in page.deliveries]
        token = page.next_page_token
        if not token:
            break
    assert listed == [5, 4, 3, 2, 1]
    with pytest.raises(InvalidArgument):
        await harness.service.ListDeliveries(
            rpc.ListDeliveriesRequest(caller=harness.caller(), webhook=webhook, page_token="x"), None
        )


async def test_secrets_are_encrypted_in_the_database_and_survive_a_change_of_keys(harness: Harness) -> None:
    webhook, secret = await harness.create(URL)
    async with harness.owner.connection([harness.tenant]) as connection:
        row: Any = await (await connection.execute("SELECT secret FROM webhooks WHERE id = %s", [webhook])).fetchone()
    assert secret.removeprefix("whsec_").encode() not in row[0]
    newer = "A" * 43 + "="
    opened = Vault([newer, KEY]).open(row[0])
    assert harness.vault.open(row[0]) == opened
    with pytest.raises(UnreadableSecretError):
        Vault([newer]).open(row[0])


async def test_a_deleted_webhook_leaves_no_deliveries(harness: Harness) -> None:
    webhook, _ = await harness.create(URL)
    await harness.add(harness.event(1))
    await harness.service.DeleteWebhook(rpc.DeleteWebhookRequest(caller=harness.caller(), webhook=webhook), None)
    async with harness.owner.connection([harness.tenant]) as connection:
        row: Any = await (await connection.execute("SELECT count(*) FROM deliveries WHERE webhook = %s", [webhook])).fetchone()
    assert row[0] == 0


async def test_users_see_commands_without_their_endpoints_and_names_are_unique(harness: Harness) -> None:
    asked = [
        rpc.CreateCommandRequest(caller=harness.caller(), name=name, url=URL, bot=BOT, hint="[city]")
        for name in ("weather", "deploy")
    ]
    made = [(await harness.service.CreateCommand(each, None)).command for each in asked]
    with pytest.raises(Conflict):
        await harness.service.CreateCommand(asked[0], None)
    for admin, urls in ((True, [URL, URL]), (False, ["", ""])):
        caller = harness.caller(admin=admin)
        found = (await harness.service.ListCommands(rpc.ListCommandsRequest(caller=caller), None)).commands
        assert [each.name for each in found] == ["deploy", "weather"]
        assert [each.url for each in found] == urls
    deleted = rpc.DeleteCommandRequest(caller=harness.caller(), command=made[0].id)
    await harness.service.DeleteCommand(deleted, None)
    with pytest.raises(NotFound):
        await harness.service.DeleteCommand(deleted, None)
    stranger = harness.caller(tenant="stranger")
    assert not (await harness.service.ListCommands(rpc.ListCommandsRequest(caller=stranger), None)).commands


@pytest.mark.parametrize(
    "changed", [{"name": ""}, {"name": "A"}, {"name": "x" * 33}, {"bot": ""}, {"bot": "ann"}, {"url": "x"}, {"hint": "x" * 101}]
)
async def test_unfit_commands_are_refused(harness: Harness, changed: dict[str, str]) -> None:
    asked = rpc.CreateCommandRequest(**{"caller": harness.caller(), "name": "deploy", "url": URL, "bot": BOT, **changed})  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument):
        await harness.service.CreateCommand(asked, None)


@pytest.mark.parametrize("token", ["", "x", "a.b", "..", "stranger.", "\x00.x"])
async def test_a_token_that_was_never_given_out_answers_nothing(harness: Harness, token: str) -> None:
    with pytest.raises(NotFound):
        await harness.service.AnswerCommand(rpc.AnswerCommandRequest(token=token, text="x"), None)


async def test_what_is_done_to_webhooks_and_commands_is_recorded(harness: Harness) -> None:
    caller = harness.caller()
    webhook, _ = await harness.create(URL)
    changed = rpc.UpdateWebhookRequest(caller=caller, webhook=webhook, settings=rpc.WebhookSettings(url=URL), enabled=False)
    await harness.service.UpdateWebhook(changed, None)
    await harness.enable(webhook)
    await harness.service.RotateWebhookSecret(rpc.RotateWebhookSecretRequest(caller=caller, webhook=webhook), None)
    await harness.add(harness.event(1), deliveries=0)
    await harness.service.DeleteWebhook(rpc.DeleteWebhookRequest(caller=caller, webhook=webhook), None)
    made = await harness.service.CreateCommand(rpc.CreateCommandRequest(caller=caller, name="deploy", url=URL, bot=BOT), None)
    await harness.service.DeleteCommand(rpc.DeleteCommandRequest(caller=caller, command=made.command.id), None)
    page = await harness.service.ListIntegrationAudit(rpc.ListIntegrationAuditRequest(caller=caller), None)
    assert [(each.actor, each.action, each.reason) for each in page.records] == [
        ("ann", "webhook.created", ""),
        ("ann", "webhook.changed", ""),
        ("ann", "webhook.disabled", "requested"),
        ("ann", "webhook.enabled", ""),
        ("ann", "webhook.secret_rotated", ""),
        ("", "webhook.suspended", "backlog"),
        ("ann", "webhook.deleted", ""),
        ("ann", "command.created", ""),
        ("ann", "command.deleted", ""),
    ]
    assert [each.subject for each in page.records] == [webhook] * 7 + [made.command.id] * 2
    asked = rpc.ListIntegrationAuditRequest(caller=caller, after=page.records[3].number, page_size=2)
    assert list((await harness.service.ListIntegrationAudit(asked, None)).records) == list(page.records[4:6])
