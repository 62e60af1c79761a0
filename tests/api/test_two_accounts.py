"""Two accounts on one instance: whatever is called, nothing of one is seen or changed by the other.

The calls are made from `ENDPOINTS`, so that an endpoint that is added is called here by itself.
"""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.calling import KIND_OF_PARAM, Request, Speaker, Words
from support.live import Live, living
from support.postgres import require_postgres
from support.rows import Rows
from support.service import Service
from support.stores import FACTORIES

from heliogram.api import ENDPOINTS
from heliogram.domain import ids
from heliogram.rest import Endpoint

ROOT = "/v1/PushNotifications"
KEYED = [each for each in ENDPOINTS if not each.public]
NAMED = [each for each in KEYED if each.path_params]
STEPS = 25
SHARED_APP, SHARED_TOKEN = "shared_name", "5a" * 32
"""What both accounts have: nothing may be found by such a name alone."""
NOT_LOOKED_UP = {("broadcast", "channelId")}
"""Path parameters that only APNs knows, when it is asked later."""
ONE_OF = {"userId", "externalId"}
"""Query parameters of which a list may need one."""
_FRESH = re.compile(
    r'[a-z_]+_[0-7][0-9a-hjkmnp-tv-z]{25}|"(?:self|next)":"[^"]*"|(?:hgs_|hgr_|whsec_)[\w+/=-]+|[0-9a-f]{8}(?:-[0-9a-f]{4,12}){4}'
)
"""What is another in every answer: ids that were just made, page tokens, secrets, APNs' own ids of requests."""


class Tenant:
    """One of the two: its client, its words, and all it has ever said."""

    def __init__(self, service: Service, words: Words, stored: Rows) -> None:
        self.service = service
        self.words = words
        self.stored = stored
        self.said = ""
        self.rows: dict[str, list[str]] = {}

    async def call(self, request: Request, headers: dict[str, str] | None = None) -> httpx2.Response:
        """Makes a request."""
        self.said += request.text()
        answer = await request.send(self.service.client, headers)
        assert answer.status_code < 500 or answer.status_code == 503, (request.text(), answer.text)
        return answer

    def learn(self, answer: httpx2.Response) -> None:
        """Remembers what a good answer names."""
        if answer.status_code < 300:
            self.words.learn(answer.text)
            body = answer.json()
            for kind, word in (
                ("pageToken", body.get("pagination", {}).get("self")),
                ("channelId", body.get("resourceId") if "Channels" in body.get("resourceLocation", "") else None),
            ):
                if word:
                    self.words.add(kind, word)

    async def settle_in(self) -> None:
        """Has one of everything."""
        words = self.words
        app, token = words.pools["appName"][0], words.pools["token"][0]
        to, content = [{"externalId": "u-1"}], {"body": words.mark}
        device = {"appName": app, "token": token, "provider": "APN", "externalId": "u-1"}
        upload = {"credentialType": "APN", "appName": app, "content": words.credential()}
        for path, body in (
            (f"{ROOT}/Credentials", upload),
            (f"{ROOT}/Credentials", {**upload, "appName": SHARED_APP, "content": words.credential()}),
            (f"{ROOT}/DeviceRegistrations", device),
            (f"{ROOT}/DeviceRegistrations", {**device, "token": SHARED_TOKEN, "appName": SHARED_APP}),
            (ROOT, {"to": to, "content": content}),
            (ROOT, {"to": to, "content": content, "schedule": {"sendAt": ["2027-01-20T08:00:00Z"]}}),
            (f"{ROOT}/Apps/{app}/Channels", {"storagePolicy": "NO_MESSAGE_STORED"}),
            ("/v1/ApiKeys", {"name": words.mark, "scopes": ["read"]}),
            ("/v1/Webhooks", {"url": f"https://93.184.215.14/{words.mark}", "types": ["*"]}),
        ):
            answer = await self.service.client.post(path, json=body)
            assert answer.status_code in (201, 202), answer.text
            self.learn(answer)
        for endpoint in KEYED:
            if endpoint.method == "GET" and not endpoint.path_params:
                self.learn(await self.service.client.get("/v1" + endpoint.path))
        self.rows = await self.kept()
        assert self.rows.keys() >= {"account", "api_key", "app", "audit", "chunk", "credential", "device", "webhook"}

    def own(self, endpoint: Endpoint) -> dict[str, str]:
        """A word of its own for each path parameter."""
        kinds = {name: KIND_OF_PARAM.get(name, "") for name in endpoint.path_params}
        return {name: self.words.pools[kind][0] for name, kind in kinds.items() if kind in self.words.pools}

    def names(self) -> set[str]:
        """The words that name something of its own."""
        return {word for kind, pool in self.words.pools.items() if kind != "pageToken" for word in pool}

    async def kept(self) -> dict[str, list[str]]:
        """Every row that the store has of this account, table by table."""
        return await self.stored.of(self.service.account)


def unknown_by(random: Random) -> Callable[[str], str]:
    """Words that nobody knows, as long as those that somebody does."""

    def unknown(kind: str) -> str:
        if kind == "appName":
            return f"app_{random.getrandbits(32):08x}"
        if kind == "token":
            return random.randbytes(32).hex()
        if kind == "channelId":
            return base64.urlsafe_b64encode(random.randbytes(16)).rstrip(b"=").decode()
        if kind == "pageToken":
            return base64.urlsafe_b64encode(b'{"c":null,"q":{}}').rstrip(b"=").decode()
        made = ids.make(1_800_000_000_000, random.getrandbits(12), random.getrandbits(42))
        return ids.encode(kind, made)

    return unknown


class Pair:
    """Two accounts that have the same things, and the checks that neither meets the other's."""

    def __init__(self, first: Tenant, second: Tenant, random: Random) -> None:
        self.tenants = (first, second)
        self.random = random
        self.unknown = unknown_by(random)

    def speaker(self, who: int) -> Speaker:
        """Makes requests for one of them."""
        own, foreign = self.tenants[who].words, self.tenants[1 - who].words
        return Speaker(self.random, own, foreign, self.unknown)

    async def step(self, who: int, request: Request, headers: dict[str, str] | None = None) -> httpx2.Response:
        """One call, and when it names something of the other's, the same once more naming nothing at all."""
        caller, other = self.tenants[who], self.tenants[1 - who]
        text = request.text()
        foreign = {word for word in other.names() if word in text and word not in caller.names()}
        answer = await caller.call(request, None if foreign else headers)
        if foreign:
            strangers = {word: self.unknown(self._kind(other, word)) for word in foreign}
            twin = await caller.call(request.saying(strangers))
            self._require_alike(request, strangers, answer, twin)
            self._require_unseen(caller, other, request, twin)
            caller.learn(twin)
        self._require_unseen(caller, other, request, answer)
        caller.learn(answer)
        assert await other.kept() == other.rows, (request.text(), answer.text)
        caller.rows = await caller.kept()
        return answer

    def _kind(self, other: Tenant, word: str) -> str:
        return next(kind for kind, pool in other.words.pools.items() if word in pool)

    def _require_alike(
        self, request: Request, strangers: dict[str, str], answer: httpx2.Response, twin: httpx2.Response
    ) -> None:
        """Foreign and unknown are told apart by nothing."""
        swapped = answer.text
        for word, stranger in strangers.items():
            swapped = swapped.replace(word, stranger)
        assert (answer.status_code, _FRESH.sub("", swapped)) == (twin.status_code, _FRESH.sub("", twin.text)), (
            request.text()
        )

    def _require_unseen(self, caller: Tenant, other: Tenant, request: Request, answer: httpx2.Response) -> None:
        """Nothing of the other's is in the answer but what was asked with; nobody owns a device token alone."""
        text = answer.text + str(answer.headers)
        tokens = set(other.words.pools["token"])
        seen = {
            word
            for word in {other.words.mark, *other.names()} - caller.names()
            if word in text and word not in (caller.said if word in tokens else request.text())
        }
        assert not seen, (request.text(), answer.text)


class Instance:
    """A service with an APNs behind it, on which pairs of accounts are made."""

    def __init__(self, directory: Path, store: str) -> None:
        self.runner = asyncio.Runner()
        self.context = living(directory, store=store)
        self.live: Live = self.runner.run(_entered(self.context))
        self.stored = Rows(self.live.service.store)
        self.pairs = 0

    def close(self) -> None:
        """Ends it all."""
        self.runner.run(_left(self.context))
        self.runner.close()

    async def pair(self, random: Random) -> Pair:
        """Two new accounts."""
        self.pairs += 1
        first, second = [await self._tenant(number, random) for number in (0, 1)]
        assert first.names() & second.names() == {SHARED_APP, SHARED_TOKEN}
        return Pair(first, second, random)

    async def _tenant(self, number: int, random: Random) -> Tenant:
        service = await self.live.service.tenant(f"tenant-{self.pairs}-{number}")
        team, bundle = f"TEAM{self.pairs:05d}{number}", f"com.example.t{self.pairs}x{number}"

        def credential() -> dict[str, Any]:
            return {**self.live.key(team=team), "bundleId": bundle}

        words = Words(mark=f"mark{random.getrandbits(64):016x}", team=team, credential=credential)
        words.add("appName", f"app_{random.getrandbits(32):08x}")
        words.add("appName", SHARED_APP)
        words.add("token", random.randbytes(32).hex())
        words.add("token", SHARED_TOKEN)
        tenant = Tenant(service, words, self.stored)
        await tenant.settle_in()
        return tenant


async def _entered(context: Any) -> Any:
    return await context.__aenter__()


async def _left(context: Any) -> None:
    await context.__aexit__(None, None, None)


@pytest.fixture(params=sorted(FACTORIES))
def instance(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Instance]:
    if request.param == "postgres":
        require_postgres()  # before there is a loop that nobody would close
    made = Instance(tmp_path, request.param)
    yield made
    made.close()


def test_a_foreign_name_in_a_path_is_an_unknown_one(instance: Instance) -> None:
    """Every path parameter of every endpoint: 404, word for word like a name that nobody has."""

    async def drive() -> None:
        pair = await instance.pair(Random(1))
        caller, other = pair.tenants
        for endpoint in NAMED:
            for name in endpoint.path_params:
                kind = KIND_OF_PARAM.get(name)
                of_kind = [word for word in other.words.pools.get(kind or "", []) if word not in caller.names()]
                for word in of_kind[:3] or other.words.any():
                    instance.live.clock.advance(1)
                    answer = await _well_formed(pair, endpoint, {**caller.own(endpoint), name: word})
                    found = kind is None or (endpoint.operation_id, name) in NOT_LOOKED_UP
                    assert found or answer.status_code == 404, (endpoint.path, name, answer.text)

    instance.runner.run(drive())


async def _well_formed(pair: Pair, endpoint: Endpoint, words: dict[str, str]) -> httpx2.Response:
    """The answer to a call with a body that can be read."""
    for _ in range(50):
        answer = await pair.step(0, pair.speaker(0).request(endpoint, words))
        if answer.status_code != 400:
            break
    return answer


def test_what_is_read_is_ones_own(instance: Instance) -> None:
    """Every list, plain and with the other's page tokens, and everything that can be read by its name."""

    async def drive() -> None:
        pair = await instance.pair(Random(3))
        for endpoint in KEYED:
            if endpoint.method == "GET":
                for who in (0, 1):
                    request = pair.speaker(who).request(endpoint, pair.tenants[who].own(endpoint))
                    request.query = {name: word for name, word in request.query.items() if name in ONE_OF}
                    await pair.step(who, request)
                    for token in pair.tenants[1 - who].words.pools["pageToken"]:
                        await pair.step(who, replace(request, query={"pageToken": token}))

    instance.runner.run(drive())


def test_names_of_ones_own_are_found(instance: Instance) -> None:
    """The counterpart: with the caller's own names every endpoint that reads finds something."""

    async def drive() -> None:
        pair = await instance.pair(Random(2))
        for endpoint in NAMED:
            words = pair.tenants[0].own(endpoint)
            assert set(words) == set(endpoint.path_params), f"tell support.calling what is in {endpoint.path}"
            if endpoint.method == "GET":
                path = "/v1" + endpoint.path.replace("{", "{0[").replace("}", "]}").format(words)
                answer = await pair.tenants[0].service.client.get(path)
                assert answer.status_code == 200, (endpoint.path, answer.text)

    instance.runner.run(drive())


def test_nothing_crosses_whatever_is_called(instance: Instance) -> None:
    """Two accounts call anything with anything, in any order: no answer shows, and no call changes, what is the
    other's; what names something of the other's is answered as if there were no such thing."""

    @settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.randoms(use_true_random=True))
    def drive(random: Random) -> None:
        instance.runner.run(wander(random))

    async def wander(random: Random) -> None:
        pair = await instance.pair(random)
        for _ in range(STEPS):
            who = random.randrange(2)
            request = pair.speaker(who).request(random.choice(KEYED))
            key = random.choice(("k-1", "k-2")) if random.random() < 0.3 else None
            await pair.step(who, request, {"Idempotency-Key": key} if key else None)
            instance.live.clock.advance(1)

    drive()
