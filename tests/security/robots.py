"""Bots and their tokens for tests."""

from dataclasses import dataclass

from tests.client import Api, shapes
from tests.flow.world import World


@dataclass(frozen=True, slots=True)
class Robot:
    """A bot of the tenant with one token."""

    api: Api
    """Calls with the token."""
    admin: Api
    token: str
    """The token's id."""

    @property
    def path(self) -> str:
        """The bot in the administration's API."""
        return f"/v1/admin/bots/{self.api.user}"

    async def revoke(self) -> None:
        """Revoke the token."""
        await self.admin.ok("DELETE", f"{self.path}/tokens/{self.token}", status=204)


async def robot(world: World, *scopes: str, name: str = "Robot", **fields: object) -> Robot:
    """A new bot with a token of these scopes."""
    admin = await world.person("root", roles=["admin"])
    made = await admin.ok("POST", "/v1/admin/bots", {"name": name}, 201, shapes.bot)
    return await another_token(world, admin, made["user"], *scopes, **fields)


async def another_token(world: World, admin: Api, bot: str, *scopes: str, **fields: object) -> Robot:
    """One more token of a bot."""
    body = {"name": "ci", "scopes": scopes, **fields}
    token = await admin.ok("POST", f"/v1/admin/bots/{bot}/tokens", body, 201, shapes.new_bot_token)
    return Robot(Api(admin.url, token["token"], world.http, bot), admin, token["id"])
