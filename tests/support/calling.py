"""Random calls of any endpoint of the API, made from what the endpoints declare about themselves."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import httpx2
import msgspec
from msgspec import inspect

from heliogram.domain import ids
from heliogram.domain.webhooks import WEBHOOK
from heliogram.rest import Endpoint

PREFIXED = re.compile(r"[a-z_]+_[0-7][0-9a-hjkmnp-tv-z]{25}")
_OPTIONAL = 0.2
"""How often a field or parameter that may be left out is given."""

KIND_OF_PARAM = {
    "credentialId": ids.CREDENTIAL,
    "relatedCredentialId": ids.CREDENTIAL,
    "apn": ids.CREDENTIAL,
    "deviceRegistrationId": ids.DEVICE_REGISTRATION,
    "operationId": ids.OPERATION,
    "pushNotificationId": ids.NOTIFICATION,
    "userId": ids.USER,
    "user": ids.USER,
    "keyId": ids.API_KEY,
    "appName": "appName",
    "token": "token",
    "channelId": "channelId",
    "pageToken": "pageToken",
    "webhookId": WEBHOOK,
}
"""What is known to be in a field or parameter. One that is not here gets anything at all: new endpoints are called
too."""


@dataclass
class Words:
    """What a tenant may say: ids and names by kind, its own and others'."""

    mark: str
    team: str
    pools: dict[str, list[str]] = field(default_factory=dict)
    credential: Callable[[], dict[str, Any]] = field(default=dict, repr=False)

    def learn(self, text: str) -> None:
        """Remembers the ids in an answer."""
        for ident in PREFIXED.findall(text):
            self.add(ident.rpartition("_")[0], ident)

    def add(self, kind: str, word: str) -> None:
        """Remembers one."""
        pool = self.pools.setdefault(kind, [])
        if word not in pool:
            pool.append(word)

    def any(self) -> list[str]:
        """Everything, of whatever kind."""
        return [word for pool in self.pools.values() for word in pool]


@dataclass
class Request:
    """A request that was not made yet."""

    endpoint: Endpoint
    path: str
    query: dict[str, str]
    body: Any

    def text(self) -> str:
        """All of it."""
        return f"{self.path} {self.query} {msgspec.json.encode(self.body).decode()}"

    def saying(self, words: dict[str, str]) -> Request:
        """The same with other words in place of some."""

        def swap(text: str) -> str:
            for old, new in words.items():
                text = text.replace(old, new)
            return text

        body = None if self.body is None else msgspec.json.decode(swap(msgspec.json.encode(self.body).decode()))
        return Request(self.endpoint, swap(self.path), {k: swap(v) for k, v in self.query.items()}, body)

    async def send(self, client: httpx2.AsyncClient, headers: dict[str, str] | None = None) -> httpx2.Response:
        """Makes it."""
        content = None if self.body is None else msgspec.json.encode(self.body)
        return await client.request(
            self.endpoint.method, self.path, params=self.query, content=content, headers=headers or {}
        )


class Speaker:
    """Makes requests for one tenant, out of its own words and, now and then, another's."""

    def __init__(self, random: Random, own: Words, foreign: Words, unknown: Callable[[str], str]) -> None:
        self.random = random
        self.own = own
        self.foreign = foreign
        self.unknown = unknown

    def request(self, endpoint: Endpoint, path_words: dict[str, str] | None = None) -> Request:
        """A call of an endpoint. `path_words` are path parameters that are settled already."""
        given = path_words or {}
        path = "/v1" + endpoint.path if endpoint.prefixed else endpoint.path
        for name in endpoint.path_params:
            path = path.replace("{" + name + "}", given.get(name) or self.word(KIND_OF_PARAM.get(name)))
        body = None if endpoint.body is None else self.value(inspect.type_info(endpoint.body), "")
        query = {} if endpoint.query is None else self.struct(inspect.type_info(endpoint.query))
        return Request(endpoint, path, {name: _parameter(value) for name, value in query.items()}, body)

    def word(self, kind: str | None) -> str:
        """A word of a kind, mostly one's own; of any kind when it is not known what is wanted."""
        whose = self.random.choice((self.own, self.own, self.foreign, None))
        pool = [] if whose is None else (whose.any() if kind is None else whose.pools.get(kind, []))
        return self.random.choice(pool) if pool else self.unknown(kind or ids.CREDENTIAL)

    def struct(self, info: Any) -> dict[str, Any]:
        """An object with all it needs and some of what it may have."""
        special = _STRUCTS.get(info.cls.__name__)
        if special is not None:
            return special(self)
        return {
            each.encode_name: self.value(each.type, each.encode_name)
            for each in info.fields
            if each.required or self.random.random() < _OPTIONAL
        }

    def value(self, info: Any, name: str) -> Any:
        """A value of a field."""
        if isinstance(info, inspect.Metadata):
            choices = (info.extra_json_schema or {}).get("enum")
            return self.random.choice(choices) if choices else self.value(info.type, name)
        if isinstance(info, inspect.UnionType):
            arms = [arm for arm in info.types if not isinstance(arm, inspect.NoneType)]
            return self.value(self.random.choice(arms), name)
        if isinstance(info, inspect.StructType):
            return self.struct(info)
        if isinstance(info, inspect.EnumType):
            return self.random.choice([each.value for each in info.cls])
        if isinstance(info, inspect.LiteralType):
            return self.random.choice(list(info.values))
        if isinstance(info, inspect.ListType):
            return [self.value(info.item_type, name) for _ in range(max(1, info.min_length or 0))]
        if isinstance(info, inspect.BoolType):
            return self.random.random() < 0.5
        if isinstance(info, inspect.IntType | inspect.FloatType):
            return info.ge if info.ge is not None else 1
        if isinstance(info, inspect.StrType):
            return self.text(name)
        return {}

    def text(self, name: str) -> str:
        """A text for a field of this name."""
        if name in KIND_OF_PARAM:
            return self.word(KIND_OF_PARAM[name])
        if name == "externalId":
            return self.random.choice(("u-1", "u-2", "u-3"))
        if name.endswith(("At", "Date")):
            return "2027-01-20T08:00:00Z"
        if name == "url":
            return f"https://93.184.215.14/{self.own.mark}"
        if name == "ids" or name.endswith("Id"):
            return self.word(None)
        return f"{self.own.mark} {name}"

    def recipient(self) -> dict[str, Any]:
        """A recipient of a send."""
        name = self.random.choice(("token", "userId", "externalId"))
        more = {"provider": "APN"} if name == "token" else {}
        return {name: self.text(name), **more}

    def sender(self) -> dict[str, Any]:
        """Who sends."""
        name = self.random.choice(("appName", "apn"))
        return {name: self.text(name)}

    def upload(self) -> dict[str, Any]:
        """A credential, of an app of one's own: an app that is made counts, whoever else has one of that name."""
        return {
            "credentialType": self.random.choice(("APN", "APN_SANDBOX")),
            "appName": self.random.choice(self.own.pools["appName"]),
            "content": self.credential(),
        }

    def device(self) -> dict[str, Any]:
        """A device to register, for somebody or for a new user."""
        app, token = self.text("appName"), self.text("token")
        somebody = self.someone() if self.random.random() < 0.7 else {}
        return {"appName": app, "token": token, "provider": "APN", **somebody}

    def someone(self) -> dict[str, Any]:
        """A user, by one of the two names."""
        name = self.random.choice(("userId", "externalId"))
        return {name: self.text(name)}

    def content(self) -> dict[str, Any]:
        """What a notification says."""
        name = self.random.choice(("title", "subtitle", "threadId", "category", "collapseId"))
        return {"body": self.text("body"), name: self.own.mark}

    def credential(self) -> dict[str, Any]:
        """Its content, now and then with a related credential."""
        related = self.random.random() < _OPTIONAL
        return {**self.own.credential(), **({"relatedCredentialId": self.text("apn")} if related else {})}


_STRUCTS: dict[str, Callable[[Speaker], dict[str, Any]]] = {
    "RecipientIn": Speaker.recipient,
    "SenderIn": Speaker.sender,
    "CreateCredential": Speaker.upload,
    "Content": Speaker.content,
    "BroadcastRequest": lambda self: {"content": {"liveActivity": {"event": "update", "contentState": {}}}},
    "RegisterDevice": Speaker.device,
    "CreateRegistrationToken": lambda self: {"appName": self.text("appName"), **self.someone()},
    "RegistrationQuery": Speaker.someone,
    "DeviceHistoryQuery": Speaker.someone,
    "CredentialContent": Speaker.credential,
}
"""Objects whose fields do not go together in every way."""


def _parameter(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
