"""curl against the simulator: a third HTTP/2 implementation (nghttp2), at the command line anyone has.

Without a curl that speaks HTTP/2 these tests are skipped by name with their cure; where `CI` is set that is a failure.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.curl_peer import curl_program, run
from support.sim_client import TOPIC, World, write_ca

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def curl() -> str:
    return curl_program()


@pytest.mark.parametrize("how", ["--http2", "--http2-prior-knowledge"])
async def test_push(curl: str, world: World, tmp_path: Path, how: str) -> None:
    """CONN-11: a push by ALPN and by prior knowledge."""
    status, version, headers, body = await run(
        curl,
        world,
        write_ca(world.simulator, tmp_path),
        f"/3/device/{world.token}",
        how,
        "--header",
        f"authorization: bearer {world.bearer}",
        "--header",
        f"apns-topic: {TOPIC}",
        "--header",
        "apns-push-type: alert",
        "--data",
        '{"aps":{"alert":"curl"}}',
    )
    assert (status, version, body) == (200, "2", "")
    (shown,) = world.simulator.notifications(world.device.id)
    assert (shown.body, shown.apns_id) == ("curl", headers["apns-id"])


async def test_get_root(curl: str, world: World, tmp_path: Path) -> None:
    """SUR-1: curl on the root without credentials is 405 MethodNotAllowed."""
    status, version, _, body = await run(curl, world, write_ca(world.simulator, tmp_path), "/", "--http2")
    assert (status, version, body) == (405, "2", '{"reason":"MethodNotAllowed"}')


async def test_payload_over_the_window(curl: str, world: World, tmp_path: Path) -> None:
    """RFC 9113 §6.9: a body of several windows is taken in whole before it is refused as too large."""
    body = tmp_path / "body.json"
    body.write_text(json.dumps({"x": "y" * 200_000}))
    status, _, _, answer = await run(
        curl,
        world,
        write_ca(world.simulator, tmp_path),
        f"/3/device/{world.token}",
        "--http2",
        "--header",
        f"authorization: bearer {world.bearer}",
        "--header",
        f"apns-topic: {TOPIC}",
        "--data-binary",
        f"@{body}",
    )
    assert (status, answer) == (413, '{"reason":"PayloadTooLarge"}')
