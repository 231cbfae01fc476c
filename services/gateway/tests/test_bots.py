"""What the gateway remembers of bots' tokens, and what it asks."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from chassis import bots as forms
from chassis.bots import BotScope, Credential, hook_credential, token_credential
from chassis.errors import HubbubError, NotAllowed, NotAuthenticated, Unavailable
from gateway.identity import bots as module
from gateway.identity.access_cache import SESSIONS, AccessCache
from gateway.identity.bots import BotIdentities
from gateway.identity.identity import Identity
from hubbub.messages.v1 import messages_pb2 as nouns
from hubbub.messages.v1 import messages_service_pb2 as rpc
from hubbub.messages.v1.messages_service_pb2_grpc import MessagesServiceStub


class Messages:
    """A messages service that knows some digests, and counts what it is asked."""

    def __init__(self) -> None:
        self.known: dict[bytes, str] = {}
        """Tokens' ids by digest."""
        self.failure: HubbubError | None = None
        self.asked = self.admitted = 0
        self.open = asyncio.Event()
        """Questions are answered while it is set."""
        self.open.set()
        self.entered = asyncio.Semaphore(0)
        """Counts the questions."""

    async def IdentifyBot(self, request: rpc.IdentifyBotRequest, **_: object) -> rpc.IdentifyBotResponse:  # noqa: N802
        self.asked += 1
        self.entered.release()
        await self.open.wait()
        if self.failure is not None:
            raise self.failure
        if request.digest not in self.known:
            raise NotAuthenticated
        scopes = [nouns.BOT_SCOPE_READ]
        return rpc.IdentifyBotResponse(bot="bot:1", token=self.known[request.digest], expires_at=1e12, scopes=scopes)

    async def AdmitUser(self, request: rpc.AdmitUserRequest, **_: object) -> rpc.AdmitUserResponse:  # noqa: N802
        self.admitted += 1
        if request.caller.session not in self.known.values():
            raise NotAuthenticated
        return rpc.AdmitUserResponse(session_ends_at=1e12)

    def token(self, name: str = "one") -> Credential:
        shown = token_credential(forms.new_token("acme"))
        assert shown is not None
        self.known[shown.digest] = name
        return shown

    @property
    def stub(self) -> MessagesServiceStub:
        return cast(MessagesServiceStub, self)


async def test_a_known_token_is_asked_about_once_and_its_scopes_are_kept() -> None:
    messages = Messages()
    bots, shown = BotIdentities(messages.stub), messages.token()
    found = [await bots.identify(shown) for _ in range(3)][-1]
    assert (found.tenant, found.user, found.session, found.scopes) == ("acme", "bot:1", "one", frozenset({BotScope.READ}))
    assert messages.asked == 1
    bots.forget(shown)
    await bots.identify(shown)
    assert messages.asked == 2


async def test_a_refused_token_is_asked_about_again_only_after_a_while() -> None:
    messages, now = Messages(), 0.0
    bots = BotIdentities(messages.stub, lambda: now)
    shown = messages.token()
    del messages.known[shown.digest]
    for _ in range(3):
        with pytest.raises(NotAuthenticated):
            await bots.identify(shown)
    assert messages.asked == 1
    now += module.REFUSED_SECONDS
    messages.known[shown.digest] = "one"
    assert (await bots.identify(shown)).session == "one"
    with pytest.raises(NotAuthenticated):
        await bots.identify(None)  # another form
    assert messages.asked == 2


async def test_neither_an_outage_nor_a_disabled_webhook_is_remembered() -> None:
    messages = Messages()
    bots, shown = BotIdentities(messages.stub), messages.token()
    for failure in (Unavailable(), NotAllowed("The webhook is disabled")):
        messages.failure = failure
        with pytest.raises(type(failure)):
            await bots.identify(shown)
    messages.failure = None
    assert (await bots.identify(shown)).session == "one"


async def test_what_is_remembered_and_what_is_asked_at_one_time_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KNOWN", 2)
    monkeypatch.setattr(module, "REFUSED", 2)
    monkeypatch.setattr(module, "LOOKUPS", 2)
    messages = Messages()
    bots = BotIdentities(messages.stub)
    shown = [messages.token(str(number)) for number in range(3)]
    for each in (*shown, shown[0]):
        await bots.identify(each)
    assert messages.asked == 4  # the first one had been forgotten
    unknown = [messages.token() for _ in range(3)]
    messages.known.clear()
    for each in (*unknown, unknown[0]):
        with pytest.raises(NotAuthenticated):
            await bots.identify(each)
    assert messages.asked == 8
    messages.open.clear()
    messages.entered = asyncio.Semaphore(0)
    asking = [asyncio.create_task(bots.identify(messages.token())) for _ in range(2)]
    for _ in asking:
        await messages.entered.acquire()
    with pytest.raises(Unavailable):
        await bots.identify(messages.token())
    messages.open.set()
    await asyncio.gather(*asking)
    await bots.identify(messages.token())


async def test_the_tokens_of_a_bot_do_not_displace_each_others_admission_and_a_revocation_drops_all() -> None:
    messages = Messages()
    access = AccessCache(messages.stub, lambda: 0.0)
    for name in ("one", "two"):
        messages.token(name)
    identities = [Identity("acme", "bot:1", "", (), 0.0, 1e12, session=name) for name in ("one", "two")]
    for _ in range(3):
        for each in identities:
            await access.admit(each)
    assert messages.admitted == 2
    access.forget("acme", "bot:1")
    messages.known.clear()
    for each in identities:
        with pytest.raises(NotAuthenticated):
            await access.admit(each)
    for number in range(SESSIONS + 1):
        messages.token(f"more {number}")
        await access.admit(Identity("acme", "bot:1", "", (), 0.0, 1e12, session=f"more {number}"))
    before = messages.admitted
    await access.admit(Identity("acme", "bot:1", "", (), 0.0, 1e12, session="more 0"))
    assert messages.admitted == before + 1  # the oldest had made room


def test_the_forms_of_tokens_and_addresses() -> None:
    token, secret = forms.new_token("acme"), forms.new_hook_secret()
    bot = forms.new_id()
    hook = forms.hook_of("acme", bot)
    assert forms.is_bot(bot)
    assert token_credential(token) == Credential("acme", forms.digest_of_token(token))
    assert hook_credential(hook, secret) == Credential("acme", forms.digest_of_hook(hook, secret))
    wrong_tokens = (token[:-1], token + "x", token.replace("acme", "Acme"), token.replace("hubbot_", ""), token + "\n")
    assert [token_credential(each) for each in wrong_tokens] == [None] * 5
    wrong_hooks = ((hook, secret[:-1]), (bot, secret), (hook + "0", secret), (hook, secret + "\n"), (hook.upper(), secret))
    assert [hook_credential(*each) for each in wrong_hooks] == [None] * 5
