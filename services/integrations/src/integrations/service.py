"""The RPCs about webhooks, for administrators, and about slash commands and actions."""

from __future__ import annotations

import grpc

from chassis.errors import Conflict, InvalidArgument, TooLarge
from chassis.postgres import Database
from hubbub.integrations.v1 import integrations_service_pb2 as rpc
from hubbub.integrations.v1 import integrations_service_pb2_grpc as stubs
from integrations import action_store, audit, command_store, convert, signing, store
from integrations.actions import Actions
from integrations.answers import Answers
from integrations.audit import Action
from integrations.commands import Commands
from integrations.deliver import Deliverer
from integrations.signing import Vault

SERVICE_NAME: str = rpc.DESCRIPTOR.services_by_name["IntegrationsService"].full_name
MAX_COMMANDS = MAX_ACTION_ENDPOINTS = 200
"""Of a tenant."""
MAX_OVERLAP_SECONDS = 7 * 24 * 3600


class IntegrationsService(stubs.IntegrationsServiceServicer):
    """hubbub.integrations.v1.IntegrationsService."""

    def __init__(
        self,
        database: Database,
        vault: Vault,
        deliverer: Deliverer,
        answers: Answers,
        *,
        webhooks_per_tenant: int,
        plain_http: bool,
    ) -> None:
        self._database = database
        self._vault = vault
        self._deliverer = deliverer
        self._answers = answers
        self._commands = Commands(database, answers)
        self._actions = Actions(database, answers)
        self._webhooks_per_tenant = webhooks_per_tenant
        self._plain_http = plain_http

    async def CreateWebhook(self, request: rpc.CreateWebhookRequest, _context: object) -> rpc.CreateWebhookResponse:
        """Make a webhook. Raises `TooLarge` if the tenant has as many as it may."""
        tenant, user = convert.administrator(request.caller)
        settings = convert.settings(request.settings, plain_http=self._plain_http)
        secret = signing.new_secret()
        async with self._database.transaction([tenant]) as connection:
            await store.serialize(connection, tenant)
            if await store.count(connection, tenant) >= self._webhooks_per_tenant:
                raise TooLarge(f"A tenant may have {self._webhooks_per_tenant} webhooks")
            made = await store.create(connection, tenant, user, settings, self._vault.seal(secret))
            await audit.append(connection, tenant, user, Action.WEBHOOK_CREATED, made.id)
        return rpc.CreateWebhookResponse(webhook=convert.webhook(made), secret=signing.shown(secret))

    async def ListWebhooks(self, request: rpc.ListWebhooksRequest, _context: object) -> rpc.ListWebhooksResponse:
        """List webhooks."""
        tenant, _ = convert.administrator(request.caller)
        size, after = convert.page(request.page_size, request.page_token)
        async with self._database.connection([tenant]) as connection:
            found = await store.list_webhooks(connection, tenant, after or store.FIRST_ID, size + 1)
        token = found[size - 1].id if len(found) > size else ""
        return rpc.ListWebhooksResponse(webhooks=map(convert.webhook, found[:size]), next_page_token=token)

    async def UpdateWebhook(self, request: rpc.UpdateWebhookRequest, _context: object) -> rpc.UpdateWebhookResponse:
        """Replace settings, enable or disable. Raises `NotFound`."""
        tenant, user = convert.administrator(request.caller)
        webhook = convert.known_id(request.webhook)
        settings = None
        if request.HasField("settings"):
            settings = convert.settings(request.settings, plain_http=self._plain_http)
        async with self._database.transaction([tenant]) as connection:
            known = await store.get(connection, tenant, webhook)
            if settings:
                known = await store.change(connection, tenant, webhook, settings)
                await audit.append(connection, tenant, user, Action.WEBHOOK_CHANGED, webhook)
            if request.HasField("enabled"):
                known = await store.set_enabled(connection, tenant, webhook, enabled=request.enabled)
                action = Action.WEBHOOK_ENABLED if request.enabled else Action.WEBHOOK_DISABLED
                await audit.append(connection, tenant, user, action, webhook, reason=known.reason)
        self._deliverer.wake()
        return rpc.UpdateWebhookResponse(webhook=convert.webhook(known))

    async def DeleteWebhook(self, request: rpc.DeleteWebhookRequest, _context: object) -> rpc.DeleteWebhookResponse:
        """Delete a webhook. Raises `NotFound`."""
        tenant, user = convert.administrator(request.caller)
        webhook = convert.known_id(request.webhook)
        async with self._database.transaction([tenant]) as connection:
            await store.delete(connection, tenant, webhook)
            await audit.append(connection, tenant, user, Action.WEBHOOK_DELETED, webhook)
        return rpc.DeleteWebhookResponse()

    async def RotateWebhookSecret(
        self, request: rpc.RotateWebhookSecretRequest, _context: object
    ) -> rpc.RotateWebhookSecretResponse:
        """Replace the secret. Raises `NotFound`."""
        tenant, user = convert.administrator(request.caller)
        if request.overlap_seconds > MAX_OVERLAP_SECONDS:
            raise InvalidArgument(f"overlap_seconds must be at most {MAX_OVERLAP_SECONDS}")
        webhook, secret = convert.known_id(request.webhook), signing.new_secret()
        async with self._database.transaction([tenant]) as connection:
            known = await store.rotate(connection, tenant, webhook, self._vault.seal(secret), request.overlap_seconds)
            await audit.append(connection, tenant, user, Action.SECRET_ROTATED, webhook)
        return rpc.RotateWebhookSecretResponse(webhook=convert.webhook(known), secret=signing.shown(secret))

    async def ListDeliveries(self, request: rpc.ListDeliveriesRequest, _context: object) -> rpc.ListDeliveriesResponse:
        """List deliveries. Raises `NotFound` without the webhook."""
        tenant, _ = convert.administrator(request.caller)
        webhook, state = convert.known_id(request.webhook), convert.delivery_state(request.state)
        size, before = convert.delivery_page(request.page_size, request.page_token)
        async with self._database.connection([tenant]) as connection:
            await store.get(connection, tenant, webhook)
            found = await store.list_deliveries(connection, tenant, webhook, state, before=before, limit=size + 1)
        token = str(found[size - 1].number) if len(found) > size else ""
        return rpc.ListDeliveriesResponse(deliveries=map(convert.delivery, found[:size]), next_page_token=token)

    async def GetDelivery(self, request: rpc.GetDeliveryRequest, _context: object) -> rpc.GetDeliveryResponse:
        """Read a delivery. Raises `NotFound`."""
        tenant, _ = convert.administrator(request.caller)
        webhook, delivery = convert.known_id(request.webhook), convert.known_id(request.delivery)
        async with self._database.connection([tenant]) as connection:
            known, body, answer = await store.get_delivery(connection, tenant, webhook, delivery)
        return rpc.GetDeliveryResponse(delivery=convert.delivery(known), body=body, answer=answer)

    async def ResendDeliveries(self, request: rpc.ResendDeliveriesRequest, _context: object) -> rpc.ResendDeliveriesResponse:
        """Send dead letters again. Raises `NotFound` for an unknown delivery, `Conflict` for one that is not dead."""
        tenant, user = convert.administrator(request.caller)
        webhook = convert.known_id(request.webhook)
        delivery = convert.known_id(request.delivery) if request.delivery else None
        async with self._database.transaction([tenant]) as connection:
            if delivery:
                await store.get_delivery(connection, tenant, webhook, delivery)
            count = await store.revive(connection, tenant, webhook, delivery)
            if count:
                await audit.append(connection, tenant, user, Action.RESENT, webhook)
        if delivery and not count:
            raise Conflict("Only a dead letter can be sent again")
        self._deliverer.wake()
        return rpc.ResendDeliveriesResponse(count=count)

    async def CreateCommand(self, request: rpc.CreateCommandRequest, _context: object) -> rpc.CreateCommandResponse:
        """Make a slash command. Raises `Conflict` for a name that exists, `TooLarge` if the tenant has as many as it may."""
        tenant, user = convert.administrator(request.caller)
        new = convert.new_command(request, plain_http=self._plain_http)
        secret = signing.new_secret()
        async with self._database.transaction([tenant]) as connection:
            await store.serialize(connection, tenant)
            if await command_store.count(connection, tenant) >= MAX_COMMANDS:
                raise TooLarge(f"A tenant may have {MAX_COMMANDS} commands")
            made = await command_store.create(connection, tenant, user, new, self._vault.seal(secret))
            await audit.append(connection, tenant, user, Action.COMMAND_CREATED, made.id)
        return rpc.CreateCommandResponse(command=convert.command(made, admin=True), secret=signing.shown(secret))

    async def ListCommands(self, request: rpc.ListCommandsRequest, _context: object) -> rpc.ListCommandsResponse:
        """List slash commands."""
        tenant, _ = convert.user(request.caller)
        async with self._database.connection([tenant]) as connection:
            found = await command_store.listed(connection, tenant)
        return rpc.ListCommandsResponse(commands=[convert.command(each, admin=request.caller.admin) for each in found])

    async def DeleteCommand(self, request: rpc.DeleteCommandRequest, _context: object) -> rpc.DeleteCommandResponse:
        """Delete a slash command. Raises `NotFound`."""
        tenant, user = convert.administrator(request.caller)
        command = convert.known_id(request.command)
        async with self._database.transaction([tenant]) as connection:
            await command_store.delete(connection, tenant, command)
            await audit.append(connection, tenant, user, Action.COMMAND_DELETED, command)
        return rpc.DeleteCommandResponse()

    async def ListIntegrationAudit(
        self, request: rpc.ListIntegrationAuditRequest, _context: object
    ) -> rpc.ListIntegrationAuditResponse:
        """List what was done."""
        tenant, _ = convert.administrator(request.caller)
        after, limit = convert.audit_page(request.after, request.page_size)
        async with self._database.connection([tenant]) as connection:
            found = await audit.listed(connection, tenant, after, limit)
        return rpc.ListIntegrationAuditResponse(records=map(convert.audit_record, found))

    async def RunCommand(self, request: rpc.RunCommandRequest, _context: object) -> rpc.RunCommandResponse:
        """Run a slash command. Raises as `Commands.run`."""
        convert.user(request.caller)
        return convert.command_answer(await self._commands.run(request.caller, convert.invocation(request)))

    async def CreateActionEndpoint(
        self, request: rpc.CreateActionEndpointRequest, _context: object
    ) -> rpc.CreateActionEndpointResponse:
        """Make an endpoint of actions. Raises `Conflict` if the bot has one, `TooLarge` if the tenant has as many as it may."""
        tenant, user = convert.administrator(request.caller)
        bot, url = convert.bot_and_url(request, plain_http=self._plain_http)
        secret = signing.new_secret()
        async with self._database.transaction([tenant]) as connection:
            await store.serialize(connection, tenant)
            if await action_store.count(connection, tenant) >= MAX_ACTION_ENDPOINTS:
                raise TooLarge(f"A tenant may have {MAX_ACTION_ENDPOINTS} endpoints of actions")
            made = await action_store.create(connection, tenant, user, bot, url=url, secret=self._vault.seal(secret))
            await audit.append(connection, tenant, user, Action.ACTION_ENDPOINT_CREATED, made.id)
        return rpc.CreateActionEndpointResponse(endpoint=convert.action_endpoint(made), secret=signing.shown(secret))

    async def ListActionEndpoints(
        self, request: rpc.ListActionEndpointsRequest, _context: object
    ) -> rpc.ListActionEndpointsResponse:
        """List endpoints of actions."""
        tenant, _ = convert.administrator(request.caller)
        async with self._database.connection([tenant]) as connection:
            found = await action_store.listed(connection, tenant)
        return rpc.ListActionEndpointsResponse(endpoints=map(convert.action_endpoint, found))

    async def DeleteActionEndpoint(
        self, request: rpc.DeleteActionEndpointRequest, _context: object
    ) -> rpc.DeleteActionEndpointResponse:
        """Delete an endpoint of actions. Raises `NotFound`."""
        tenant, user = convert.administrator(request.caller)
        endpoint = convert.known_id(request.endpoint)
        async with self._database.transaction([tenant]) as connection:
            await action_store.delete(connection, tenant, endpoint)
            await audit.append(connection, tenant, user, Action.ACTION_ENDPOINT_DELETED, endpoint)
        return rpc.DeleteActionEndpointResponse()

    async def RunAction(self, request: rpc.RunActionRequest, _context: object) -> rpc.RunActionResponse:
        """Choose a button or an option. Raises as `Actions.run`."""
        convert.user(request.caller)
        return convert.action_answer(await self._actions.run(request.caller, convert.choice(request)))

    async def AnswerCommand(self, request: rpc.AnswerCommandRequest, _context: object) -> rpc.AnswerCommandResponse:
        """Answer a command or an action later. Raises `NotFound` for a token that is not valid, or not any more."""
        message = await self._answers.later(request.token, convert.later_answer(request))
        return rpc.AnswerCommandResponse(message=message)


def add_service(server: grpc.aio.Server, service: IntegrationsService) -> None:
    """Serve the RPCs on `server`."""
    stubs.add_IntegrationsServiceServicer_to_server(service, server)
