"""The simulator as a program."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import ssl
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from heliogram.simulator import Forward, PortTaken, Settings, Simulator
from heliogram.simulator.__main__ import main, settings
from heliogram.simulator.control import ControlServer
from heliogram.simulator.scenario import start_with
from heliogram.simulator.serve import Options, Running, run, running

pytestmark = pytest.mark.anyio

FREE = ["production", "sandbox", "manage-production", "manage-sandbox", "control"]


async def test_run_until_stopped(tmp_path: Path) -> None:
    """Every port is open when the ready callback is called; the end closes them all."""
    up: asyncio.Future[Running] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    any_port = "127.0.0.1:0"
    options = Options(
        production=any_port,
        sandbox=any_port,
        manage_production=any_port,
        manage_sandbox=any_port,
        control=any_port,
        data=tmp_path,
    )
    task = asyncio.create_task(run(options, ready=up.set_result, stop=stop))
    found = await up
    context = ssl.create_default_context(cafile=tmp_path / "ca.pem")
    for address in found.ports.values():
        _, writer = await asyncio.open_connection(*address, ssl=context)
        writer.close()
        await writer.wait_closed()
    async with httpx2.AsyncClient(trust_env=False) as http:
        assert (await http.get(found.control_url + "/keys")).json() == {"keys": []}
    stop.set()
    await task
    for address in found.ports.values():
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*address)


async def test_failed_forward_is_repeated_by_itself() -> None:
    """LIFE-1: an app whose token did not reach its server tries again without being launched."""
    answers, arrived = [503, 503, 201], asyncio.Event()

    async def register(request: Request) -> Response:
        status = answers.pop(0)
        if not answers:
            arrived.set()
        return Response(status_code=status)

    server = ControlServer("127.0.0.1", 0)
    server.start(Starlette(routes=[Route("/", register, methods=["POST"])]))
    any_port = "127.0.0.1:0"
    options = Options(
        production=any_port,
        sandbox=any_port,
        manage_production=any_port,
        manage_sandbox=any_port,
        control=any_port,
        retry_seconds=0,
    )
    async with running(options) as state, httpx2.AsyncClient(base_url=state.control_url, trust_env=False) as http:
        device = state.simulator.add_device("a phone")
        forward = Forward(url=f"{server.url}/", api_key="id:secret")
        state.simulator.install(device.id, "com.example.app", forward=forward)
        launched = await http.post(f"/devices/{device.id}/apps/com.example.app/launch")
        assert launched.json()["forwarded"] == {"status": 503}
        await arrived.wait()
    await server.stop()


async def test_taken_control_port_names_the_option() -> None:
    """A control port in use names --control."""
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    with pytest.raises(PortTaken, match=r"is taken.*--control HOST:PORT"):
        await run(Options(control=address))
    server.close()


async def test_program_says_ready_and_ends_on_sigterm(tmp_path: Path) -> None:
    """`python -m heliogram.simulator` prints one ready line, serves, and exits with 0 on SIGTERM."""
    arguments = [part for name in FREE for part in (f"--{name}", "127.0.0.1:0")]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "heliogram.simulator",
        *arguments,
        "--data",
        str(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONWARNINGS": "error"},
    )
    assert process.stdout is not None
    assert process.stderr is not None
    line = (await process.stdout.readline()).decode()
    found = re.fullmatch(
        r"simulator ready: production=127\.0\.0\.1:\d+ sandbox=127\.0\.0\.1:\d+ manage_production=127\.0\.0\.1:\d+ "
        r"manage_sandbox=127\.0\.0\.1:\d+ control=(http://127\.0\.0\.1:\d+) ca=(\S+)\n",
        line,
    )
    assert found, line + (await process.stderr.read()).decode()
    assert Path(found[2]) == tmp_path / "ca.pem"
    async with httpx2.AsyncClient(trust_env=False) as http:
        assert (await http.get(found[1] + "/")).json()["name"] == "Heliogram simulator"
    process.send_signal(signal.SIGTERM)
    rest, errors = await process.communicate()
    assert (process.returncode, rest, errors) == (0, b"", b"")


def test_help_prints_the_order_of_checks(capsys: pytest.CaptureFixture[str]) -> None:
    """9.3: the order is in the help."""
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert text.index("405 MethodNotAllowed") < text.index("403 MissingProviderToken") < text.index("410 Unregistered")
    assert text.index("410 Unregistered") < text.index("on a broadcast:") < text.index("on channel management:")
    assert text.index("on channel management:") < text.index("400 CannotCreateChannelConfig")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--control", "nowhere"], "--control must be HOST:PORT"),
        (["--set", "nothing=1"], "--set nothing=1: give NAME=VALUE"),
        (["--set", "window"], "--set window: give NAME=VALUE"),
        (["--set", "window=x"], "--set: "),
        (["--set", "window=0"], "window must be 1 to 2147483647"),
        (["--set", "idle_seconds=nan"], "idle_seconds must be 1 to 1000000000, or left out, not nan"),
        (["--set", "retire_after_seconds=inf"], "retire_after_seconds must be 1 to 1000000000"),
        (["--set", "retire_after_requests=0"], "retire_after_requests must be 1 to 1000000000"),
        (["--set", "cut_after_errors=1000000001"], "cut_after_errors must be 1 to 1000000000"),
        (["--set", "round_trip_ms=60000.5"], "round_trip_ms must be 0 to 60000"),
        (["--set", "round_trip_ms=nan"], "round_trip_ms must be 0 to 60000"),
    ],
)
def test_bad_options(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An option that does not work is named on stderr, exit status 2."""
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def test_settings_from_the_command_line() -> None:
    """NAME=VALUE pairs are typed."""
    chosen = settings(["window=1048576", "strict_json=true", "token_rate=5"])
    assert (chosen.window, chosen.strict_json, chosen.token_rate) == (1_048_576, True, 5)
    most = settings(["round_trip_ms=60000", "idle_seconds=1000000000", "token_rate=1"])
    assert (most.round_trip_ms, most.idle_seconds, most.token_rate) == (60_000, 1_000_000_000, 1)


async def test_a_program_begins_with_a_scenario(tmp_path: Path) -> None:
    """What GET /scenario gave is there again, settings included; --set goes over them."""
    before = Simulator(settings=Settings(strict_json=True, token_changes=1))
    device = before.add_device("iPhone")
    path = tmp_path / "scenario.json"
    path.write_text(json.dumps(before.scenario.export()))
    document, chosen = start_with(path, {"token_changes": "2"})
    assert (chosen.strict_json, chosen.token_changes) == (True, 2)
    free = {name.replace("-", "_"): "127.0.0.1:0" for name in FREE}
    async with running(Options(**free, settings=chosen, scenario=document)) as state:  # type: ignore[arg-type]
        assert [each.id for each in state.simulator.devices()] == [device.id]
        assert state.simulator.apns.settings == chosen


@pytest.mark.parametrize(
    "content", ["{", "{}", '{"heliogramScenario": 1, "settings": {"window": 0}}', '{"heliogramScenario": 1, "x": 1}']
)
def test_a_bad_scenario_stops_the_program(content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 2 and the reason on stderr, before anything listens."""
    path = tmp_path / "scenario.json"
    path.write_text(content)
    assert main(["--scenario", str(path)]) == 2
    assert main(["--scenario", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err.count("simulator: ") == 2
