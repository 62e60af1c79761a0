"""CONN rules as the simulator keeps them."""

from __future__ import annotations

import pytest
from cryptography import x509
from support.sim_client import ALERT, TOPIC, World

pytestmark = pytest.mark.anyio


async def test_names_of_apns(world: World) -> None:
    """CONN-1, CONN-2, CONN-3: a client that asks for Apple's own names, the older alias too, is shown a right one."""
    client = await world.connect()
    shown = client.transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
    names = x509.load_der_x509_certificate(shown).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    listed = names.value.get_values_for_type(x509.DNSName)
    for host in ("api.push", "api.sandbox.push", "api.development.push", "api-manage-broadcast.push"):
        assert f"{host}.apple.com" in listed


async def test_host_in_place_of_authority(world: World) -> None:
    """CONN-30: a request that carries `host` and no `:authority` is served."""
    client = await world.connect()
    headers = [
        (":method", "POST"),
        (":scheme", "https"),
        (":path", f"/3/device/{world.token}"),
        ("host", "api.push.apple.com"),
        ("authorization", f"bearer {world.bearer}"),
        ("apns-topic", TOPIC),
    ]
    assert (await client.send(headers, ALERT)).status == 200


@pytest.mark.parametrize(
    "extra", [[("content-type", "application/json")], [("content-length", str(len(ALERT)))], [("user-agent", "x/1")]]
)
async def test_fields_that_are_not_needed(world: World, extra: list[tuple[str, str]]) -> None:
    """CONN-31: `content-type`, `content-length` and others are tolerated."""
    assert (await world.push(*extra)).verdict == (200, None)


async def test_upper_case_names_are_malformed(world: World) -> None:
    """CONN-32: a header name in upper case makes the request malformed: its stream is reset, others go on."""
    client = await world.connect()
    reply = await client.push(world.token, world.bearer, ("Apns-Priority", "10"))
    assert (reply.status, reply.reset) == (0, 1)
    assert (await client.push(world.token, world.bearer)).status == 200


async def test_ping_is_answered(world: World) -> None:
    """CONN-24: a PING on an idle connection gets its acknowledgement."""
    client = await world.connect()
    before = client.raw
    client.h2.ping(b"12345678")
    client.transport.write(client.h2.data_to_send())
    await client.push(world.token, world.bearer)  # answered behind the PING
    assert bytes((0, 0, 8, 6, 1, 0, 0, 0, 0)) + b"12345678" in client.raw[len(before) :]


async def test_a_connection_serves_for_long(world: World) -> None:
    """CONN-23, CONN-26: 3,000 requests go over one connection."""
    client = await world.connect()
    for _ in range(3):
        replies = [client.push(world.token, world.bearer) for _ in range(1000)]
        assert {(await reply).status for reply in replies} == {200}
