"""A user is erased by the operator's job, while the product runs."""

import asyncio
import sys
from pathlib import Path

from hubbub.messages.v1.messages_pb2 import Caller
from hubbub.messages.v1.messages_service_pb2 import EraseUserRequest
from hubbub.messages.v1.messages_service_pb2_grpc import MessagesServiceStub
from tests.flow.world import World, live


async def test_no_gateway_serves_what_an_erased_user_wrote(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    root = await world.person("root", roles=["admin"])
    room = await world.room(ann, bob)
    async with live(ann) as at_home, live(world.elsewhere(ann)) as abroad:
        seq = (await bob.post(room, "mine"))["seq"]
        for socket in (at_home, abroad):
            await socket.expect("event", channel=room, seq=seq)
        async with world.stack.channel("messages") as channel:
            caller = Caller(tenant=world.tenant, user=root.user, admin=True)
            await MessagesServiceStub(channel).EraseUser(EraseUserRequest(caller=caller, user="bob"), timeout=5)
        job = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "messages", "erase"),
            env={**environment(world.stack.pids["messages-api"]), "HUBBUB_OPS_LISTEN": "127.0.0.1:0"},
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await asyncio.wait_for(job.communicate(), 30)
        assert (job.returncode, b"user_erased" in output) == (0, True), output
        for user in (ann, world.elsewhere(ann)):
            async with live(user, **{room: seq - 1}) as resumed:
                event = await resumed.expect("event", channel=room, seq=seq)
                assert event["data"]["text"] is None
                assert event["actor"].startswith("erased-")


def environment(pid: int) -> dict[str, str]:
    """The variables that a process was started with."""
    variables = Path(f"/proc/{pid}/environ").read_text()
    return dict(each.split("=", 1) for each in variables.split("\0") if each)
