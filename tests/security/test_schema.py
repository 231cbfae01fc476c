"""The HTTP API against its OpenAPI document: schemathesis generates valid and invalid requests for each operation.

Every answer must have a status, media type, headers and shape that the document gives for the operation. Invalid requests are
refused, no answer is a 5xx, and none takes longer than `_SECONDS`. Other files test what the answers mean.
"""

import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import httpx
import pytest
import pytest_asyncio
import requests
import schemathesis
from schemathesis.specs.openapi import checks

from gateway.http import openapi
from stack import Stack
from tests.flow.world import World

Case: TypeAlias = schemathesis.Case[Any]
_SECONDS = 5.0
_CHECKS = [
    schemathesis.checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
    checks.unsupported_method,
]
_DOCUMENT = json.loads(openapi.document())
_OPERATIONS = [f"{method.upper()} {path}" for path, methods in _DOCUMENT["paths"].items() for method in methods]


def asking(*, most: int, boundaries: bool) -> schemathesis.BaseSchema:
    """The schema: `most` random requests per operation, the same in each run, and boundary values if `boundaries`."""
    generation = {"deterministic": True, "max-examples": most, "with-security-parameters": False}
    phases = {"coverage": {"enabled": boundaries, "unexpected-methods": ["trace"]}}
    whole = {
        "seed": 1,
        "generation": generation,
        "phases": phases,
        "suppress-health-check": ["too_slow"],
    }  # a busy machine is slow
    config = schemathesis.Config.from_dict(whole)
    return schemathesis.openapi.from_dict(_DOCUMENT, config=config)


@dataclass(frozen=True, slots=True)
class Setting:
    """The callers (a channel's owner and administrator, a user outside it, an anonymous caller), and existing objects."""

    url: str
    tokens: dict[str, str | None]
    """By caller."""
    names: dict[str, str]
    """Existing ids by the name of the path parameter."""
    members: dict[str, str]
    """For each operation with a user in its path: a member that no other operation uses. The others use cat."""
    session: requests.Session

    def ask(self, case: Case, caller: str) -> schemathesis.Response:
        """Send the request with existing ids, and check the answer."""
        names = {**self.names, "user": self.members.get(case.operation.label, "cat")}
        case.path_parameters.update({name: names[name] for name in case.path_parameters.keys() & names.keys()})
        if isinstance(case.body, dict) and case.meta is not None and case.meta.generation.mode.is_positive:
            known: dict[str, Any] = {"channel": names["channel"], "thread": names["message"], "attachments": []}
            known |= {name: [names["user"]] for name in ("users", "members", "mentions")}
            case.body.update({name: known[name] for name in case.body.keys() & known.keys()})
        token = self.tokens[caller]
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return case.call_and_validate(self.url, self.session, headers, checks=_CHECKS, timeout=_SECONDS, allow_redirects=False)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def setting(product: Stack) -> AsyncIterator[Setting]:
    async with httpx.AsyncClient() as http:
        world = World(product, [gateway.url for gateway in product.gateways], http, f"t-{uuid.uuid4().hex[:12]}")
        owner, outsider = await world.person("ann", roles=["admin"]), await world.person("eve")
        members = {operation: f"user-{number}" for number, operation in enumerate(_OPERATIONS) if "{user}" in operation}
        for user in ("cat", *members.values()):
            await world.person(user)
        room = await owner.create("group", name="a room", members=["cat", *members.values()])
        message = (await owner.post(room, "hello"))["message"]
        report = await owner.ok("POST", f"/v1/channels/{room}/messages/{message}/reports", {"reason": "x"}, 201)
        upload = {"name": "a.txt", "size": 3, "type": "text/plain", "channel": room}
        made = await owner.ok("POST", "/v1/uploads", upload, 201)
        names = {"channel": room, "message": message, "report": report["id"], "upload": made["id"]}
        names["bot"] = (await owner.ok("POST", "/v1/admin/bots", {"name": "robot"}, 201))["user"]
        names["hook"] = (await owner.ok("POST", f"/v1/channels/{room}/hooks", {"name": "hook"}, 201))["id"]
        with requests.Session() as session:
            tokens = {"owner": owner.token, "outsider": outsider.token, "anonymous": None}
            yield Setting(owner.url, tokens, names, members, session)


# The second parameter gives the tests different names.
@pytest.mark.parametrize("caller", ["owner"])
@asking(most=3, boundaries=True).parametrize()
def test_every_answer_conforms_to_the_document(case: Case, setting: Setting, caller: str) -> None:
    setting.ask(case, caller)


@pytest.mark.parametrize("caller", ["outsider", "anonymous"])
@asking(most=2, boundaries=False).parametrize()
def test_every_refusal_conforms_to_the_document(case: Case, setting: Setting, caller: str) -> None:
    answer = setting.ask(case, caller)
    if caller == "anonymous" and "security" in case.operation.definition.raw:
        assert answer.status_code == 401
