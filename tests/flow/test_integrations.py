"""The examples of docs/integrations.md, run as they are printed."""

import asyncio
import os
import re
import shlex
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

from chassis.bots import BotScope
from gateway.http.routes import DEVELOPMENT, TABLE
from gateway.protocol.incoming import Frame
from gateway.protocol.scopes import Beyond
from tests.flow.world import World, live
from tests.security.robots import robot

PAGE = (Path(__file__).parents[2] / "docs" / "integrations.md").read_text()


def example(language: str, containing: str) -> str:
    blocks = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    (found,) = [block for block in blocks if containing in block]
    return str(found)


async def test_the_bot_of_the_page_answers_until_its_token_is_revoked(world: World, tmp_path: Path) -> None:
    bot = await robot(world, "read", "write", name="Pong")
    ann = await world.person("ann")
    room = await world.room(ann)
    await ann.ok("POST", f"/v1/channels/{room}/members", {"users": [bot.api.user]})
    program = tmp_path / "bot.py"
    program.write_text(example("python", "pong"))
    env = {**os.environ, "HUBBUB_URL": bot.api.url, "HUBBUB_TOKEN": str(bot.api.token)}
    process = await asyncio.create_subprocess_exec(sys.executable, str(program), env=env, stderr=PIPE)
    async with live(ann) as socket:
        await socket.send("watch", users=[bot.api.user])
        await socket.expect("presence", user=bot.api.user, status="online")
        await ann.post(room, "ping")
        await socket.expect("event", actor=bot.api.user, kind="message.posted")
        await bot.revoke()
        _, said = await asyncio.wait_for(process.communicate(), 10)
    assert process.returncode != 0
    assert b"4501" in said
    assert [each["text"] for each in await ann.messages(room)] == ["pong", "ping"]


async def test_the_calls_of_the_page_make_a_bot_and_post_by_a_webhook(world: World) -> None:
    root = await world.person("root", roles=["admin"])
    room = await root.create("group", name="builds")
    made = await root.ok("POST", f"/v1/channels/{room}/hooks", {"name": "Builds"}, status=201)
    bot = await robot(world, "read", "write")
    await root.ok("POST", f"/v1/channels/{room}/members", {"users": [bot.api.user]})
    env = {
        **os.environ, "HUBBUB_URL": root.url, "ADMIN": str(root.token), "BOT": bot.api.user, "HOOK_PATH": made["path"],
        "CHANNEL": room, "HUBBUB_TOKEN": str(bot.api.token),
    }  # fmt: skip
    for lines in (
        example("sh", "/v1/admin/bots"),
        example("sh", "HOOK_PATH"),
        example("sh", "actions"),
        example("sh", "Deploy 42"),
    ):
        shell = await asyncio.create_subprocess_exec("sh", "-ec", lines, env=env, stdout=PIPE)
        said, _ = await shell.communicate()
        assert (shell.returncode, b"problem" in said) == (0, False), shlex.quote(said.decode())
    assert [each["text"] for each in await root.messages(room)] == ["Deploy 42?", "Build 7 is green"]
    assert [each["bot"] for each in (await root.ok("GET", "/v1/admin/actions"))["items"]] == [bot.api.user]
    tokens = await root.ok("GET", f"/v1/admin/bots/{bot.api.user}/tokens")
    assert [each["name"] for each in tokens["items"]] == ["ci", "production"]


def test_the_table_of_scopes_is_that_of_the_code() -> None:
    rows = [
        [cell.strip() for cell in line.strip("| ").split("|")]
        for line in PAGE.partition("### Scopes")[2].partition("## Incoming")[0].splitlines()
        if line.startswith(("| `", "| any"))
    ]
    printed = {row[0].strip("`"): set(re.findall(r"`([^`]+)`", " ".join(row[1:]))) for row in rows}
    declared: dict[str, set[str]] = {scope.value: set() for scope in (*BotScope, Beyond.ANY)}
    for path, operations in (*TABLE, *DEVELOPMENT):
        for method, operation in operations.items():
            if operation.scope is not None and operation.scope.value in declared:
                declared[operation.scope.value].add(f"{method} {path.replace(':path', '')}")
    for frame in Frame.__args__:
        declared[frame.scope.value].add(frame.__struct_config__.tag)
    assert printed == declared
