"""What a node is told about others."""

from __future__ import annotations

from pathlib import Path

import pytest

from heliogram.settings import (
    ALL_ROLES,
    MAX_STORE_CONNECTIONS,
    QUEUE_SCHEMES,
    STORE_SCHEMES,
    Address,
    Role,
    ServeSettings,
    SettingsError,
    Url,
    parse_networks,
    parse_roles,
)

STORE = Url.parse("postgresql://me:hidden@db.example/push", option="--store", schemes=STORE_SCHEMES)
NATS = Url.parse("nats://me:hidden@nats.example:4222", option="--queue", schemes=QUEUE_SCHEMES)


@pytest.mark.parametrize(
    ("text", "roles"),
    [
        ("all", ALL_ROLES),
        ("api", {Role.API}),
        (" Worker , api ", {Role.WORKER, Role.API}),
        ("api,worker,dispatcher", ALL_ROLES),
    ],
)
def test_roles_are_read(text: str, roles: set[Role]) -> None:
    """Names with commas between."""
    assert parse_roles(text) == roles


@pytest.mark.parametrize("text", ["", ",", "sender", "api,all", "api;worker"])
def test_a_role_there_is_not_is_refused(text: str) -> None:
    """And those there are, are named."""
    with pytest.raises(SettingsError, match="--role: expected some of api, worker, dispatcher"):
        parse_roles(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "db.example", "mysql://hidden@x/y", "postgresql://hidden@x:port/y", "http://x"),
        *(f"postgresql://me:1{mark}hidden@x/y" for mark in "/?#"),
        "postgresql://me:1@2/hidden@x/y",
    ],
)
def test_an_address_that_is_none_is_refused_without_its_password(text: str) -> None:
    """The message names the option and what it begins with."""
    with pytest.raises(SettingsError, match="--store: expected an address that begins with postgresql://") as caught:
        Url.parse(text, option="--store", schemes=STORE_SCHEMES)
    assert "hidden" not in str(caught.value)


def test_an_address_is_shown_without_its_password() -> None:
    """In logs, errors and settings."""
    settings = ServeSettings(store=STORE, queue=(NATS,))
    assert (str(STORE), str(NATS)) == ("postgresql://db.example/push", "nats://nats.example:4222")
    assert "hidden" not in repr(settings)
    assert "hidden" in STORE.text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"roles": frozenset({Role.API})}, "--role: the embedded store is for one process"),
        ({"queue": (NATS,)}, "--queue goes with --store"),
        ({"trusted_proxies": parse_networks("10.0.0.2", option="")}, "--trusted-proxies goes with --behind-proxy"),
        ({"store": STORE, "senders": 1}, "--senders goes with the embedded store"),
        ({"store": STORE, "store_connections": 1}, "--store-connections: expected 2 to 200, got 1"),
        ({"store": STORE, "store_connections": MAX_STORE_CONNECTIONS + 1}, "expected 2 to 200, got 201"),
    ],
)
def test_what_does_not_go_together_is_refused(change: dict[str, object], message: str) -> None:
    """With what to do instead."""
    with pytest.raises(SettingsError, match=message):
        ServeSettings(data=Path("x"), **change).check()  # type: ignore[arg-type]


@pytest.mark.parametrize("connections", [2, MAX_STORE_CONNECTIONS])
def test_a_node_of_several(connections: int) -> None:
    """A database, a broker, and a role of its own."""
    roles = frozenset({Role.WORKER})
    ServeSettings(store=STORE, queue=(NATS,), roles=roles, store_connections=connections).check()


def test_a_node_without_the_api_may_be_asked_from_elsewhere() -> None:
    """Nothing but its health is there, and no key travels to it."""
    listen = Address("0.0.0.0", 8080)
    ServeSettings(store=STORE, roles=frozenset({Role.WORKER}), listen=listen).check()
    with pytest.raises(SettingsError, match="API keys would travel in the clear"):
        ServeSettings(store=STORE, roles=frozenset({Role.WORKER, Role.API}), listen=listen).check()


@pytest.mark.parametrize(("seconds", "right"), [(4, False), (5, True), (600, True), (601, False)])
def test_leases_have_bounds(seconds: int, right: bool) -> None:
    """From 5 seconds to 10 minutes."""
    settings = ServeSettings(store=STORE, lease_seconds=seconds)
    if right:
        settings.check()
    else:
        with pytest.raises(SettingsError, match="--lease-seconds: expected 5 to 600"):
            settings.check()


def test_the_embedded_store_has_no_lease_to_set() -> None:
    """Nobody else is there to take anything over."""
    with pytest.raises(SettingsError, match="--lease-seconds goes with --store"):
        ServeSettings(lease_seconds=30).check()
