"""The pytest plugin, in the test runs of other projects."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.pytest_runs import ROOT, Project

IMPORT_SECONDS = 0.010

CLIENT = '''
    """A push, with whatever client the project has."""

    from heliogram.apns import Alert, Client, Notification, SigningKey

    TOPIC = "com.example.app"
    HELLO = Notification(alert=Alert(title="Hi", body="There"))

    def options(apns):
        issued = apns.issue_key(team_id="DEF123GHIJ")
        key = SigningKey.from_p8(issued.path, key_id=issued.key_id, team_id=issued.team_id)
        return {"credential": key, "topic": TOPIC, "endpoint": apns.production, "cafile": apns.ca_file}

    async def push(apns, token):
        given = options(apns)
        async with Client(given.pop("credential"), **given) as client:
            return await client.send(token, HELLO)
'''


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path)
    project.write("sender.py", CLIENT)
    return project


def test_plain_and_async_tests(project: Project) -> None:
    """Plain tests, tests with a loop of their own and anyio's tests use one fixture without any configuration."""
    project.write(
        "test_ways.py",
        """
        import asyncio
        import pytest
        from heliogram.apns.sync import Client
        from sender import HELLO, TOPIC, options, push

        def test_plain(apns_simulator):
            given = options(apns_simulator)
            phone = apns_simulator.add_device("Phone").install(TOPIC)
            with Client(given.pop("credential"), **given) as client:
                client.send(phone.launch(TOPIC), HELLO)
            assert [shown.title for shown in phone.notifications] == ["Hi"]
            assert [request.status for request in apns_simulator.requests] == [200]
            assert apns_simulator.violations == []

        def test_own_loop(apns_simulator):
            phone = apns_simulator.add_device().install(TOPIC)
            asyncio.run(push(apns_simulator, phone.launch(TOPIC)))
            assert len(phone.notifications) == 1

        @pytest.mark.anyio
        @pytest.mark.parametrize("anyio_backend", ["asyncio"])
        async def test_async(apns_simulator):
            phone = apns_simulator.add_device().install(TOPIC)
            sending = asyncio.create_task(push(apns_simulator, phone.launch(TOPIC)))
            assert [shown.body for shown in await asyncio.to_thread(phone.notifications.wait_for, 1)] == ["There"]
            await sending
        """,
    )
    run = project.pytest()
    assert run.code == 0, run.output
    assert run.counts == {"passed": 3}


def test_each_test_finds_it_empty(project: Project) -> None:
    """Nothing of a test is there in the next one, run after run in one server but for its settings (an ini option)."""
    project.write("pytest.ini", "[pytest]\nheliogram_simulator_settings =\n    token_changes=1\n    held=5\n")
    project.write(
        "test_apart.py",
        """
        import asyncio, time
        import pytest
        from sender import TOPIC, push

        @pytest.mark.parametrize("again", range(3))
        def test_alone(apns_simulator, again):
            assert apns_simulator.requests == [] and apns_simulator.violations == []
            assert apns_simulator.call(lambda simulator: (simulator.devices(), simulator.signing_keys())) == ([], [])
            settings = apns_simulator.call(lambda simulator: simulator.apns.settings)
            assert (settings.token_changes, settings.held) == (1, 5)
            assert abs(apns_simulator.call(lambda simulator: simulator.time.now()) - time.time()) < 600
            assert apns_simulator.call(lambda simulator: simulator.connections) == 0
            phone = apns_simulator.add_device().install(TOPIC)
            asyncio.run(push(apns_simulator, phone.launch(TOPIC)))
            apns_simulator.fault(reason="Shutdown")
            apns_simulator.advance(3600)
        """,
    )
    run = project.pytest()
    assert run.code == 0, run.output
    assert run.counts == {"passed": 3}


def test_workers_have_their_own(project: Project) -> None:
    """Under xdist each worker runs a simulator of its own."""
    project.write(
        "test_workers.py",
        """
        import os
        import pytest

        @pytest.mark.parametrize("number", range(4))
        def test_one(apns_simulator, number):
            apns_simulator.add_device(os.environ["PYTEST_XDIST_WORKER"])
            assert apns_simulator.call(lambda simulator: len(simulator.devices())) == 1
        """,
    )
    run = project.pytest("-n", "2")
    assert run.code == 0, run.output
    assert run.counts == {"passed": 4}


def test_failures_explain_themselves(project: Project) -> None:
    """A failed test says what was expected, what APNs was asked and answered, and shows no key."""
    project.write(
        "test_failing.py",
        """
        import asyncio
        from sender import TOPIC, push

        def test_nothing_arrives(apns_simulator):
            phone = apns_simulator.add_device("Anna's phone").install(TOPIC)
            asyncio.run(push(apns_simulator, "00" * 32))
            phone.notifications.wait_for(2, timeout=0.01)

        def test_rule_is_broken(apns_simulator):
            apns_simulator.call(lambda simulator: simulator.apns.violations.add(7, "TOK-9", "too many tokens"))
            assert apns_simulator.violations == []

        def test_requests(apns_simulator):
            key = apns_simulator.issue_key()
            phone = apns_simulator.add_device().install(TOPIC)
            asyncio.run(push(apns_simulator, phone.launch(TOPIC)))
            assert apns_simulator.requests == [key]
        """,
    )
    run = project.pytest()
    assert run.counts == {"failed": 3}
    for line in (
        "AssertionError: Anna's phone has 0 of 2 notifications after 0.01 s",
        "<400 BadDeviceToken: production POST /3/device/0000000000000000000000…",
        "assert violations == []",
        "TOK-9: too many tokens (connection 7)",
        "assert requests == [SigningKey(key_id=",
        "- APNs simulator -",
        "requests to APNs: 1",
    ):
        assert line in run.output
    assert "PRIVATE KEY" not in run.output


def test_wrong_settings(project: Project) -> None:
    """A setting that does not exist is named, with those that do."""
    project.write("pytest.ini", "[pytest]\nheliogram_simulator_settings = colour=red\n")
    project.write("test_settings.py", "def test_it(apns_simulator): pass\n")
    wrong = project.pytest()
    assert wrong.code != 0
    assert "heliogram_simulator_settings: colour=red: give NAME=VALUE with one of token_floor," in wrong.output


def test_documented_where_pytest_shows_it(project: Project) -> None:
    """`pytest --fixtures -v` describes the fixture."""
    project.write("test_none.py", "")
    fixtures = project.pytest("--fixtures", "-v").output
    assert "apns_simulator" in fixtures
    assert '.production, .sandbox: "host:port"' in fixtures


def test_loads_in_no_time() -> None:
    """Every test run of a machine that has the package pays for the plugin: it is there in 10 ms, and loads nothing."""
    program = (
        "import sys, pytest, time, typing, collections.abc; before = set(sys.modules); began = time.process_time();"
        "import heliogram.pytest_plugin; took = time.process_time() - began;"
        "print(took, *sorted(set(sys.modules) - before))"
    )
    runs = [
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT / "src")
        for _ in range(3)
    ]
    words = [run.stdout.split() for run in runs]
    assert words[0][1:] == ["heliogram", "heliogram.pytest_plugin"]
    assert min(float(each[0]) for each in words) < IMPORT_SECONDS


def test_needs_the_base_installation_alone(project: Project) -> None:
    """Without the server's packages all works but the control API, which says what to install."""
    project.write(
        "conftest.py",
        """
        import sys
        for name in ("starlette", "uvicorn", "httpx2", "click", "rich", "apsw", "structlog", "h2", "uvloop"):
            sys.modules[name] = None
        """,
    )
    project.write(
        "test_base.py",
        """
        import asyncio
        import pytest
        from sender import TOPIC, push

        def test_push(apns_simulator):
            phone = apns_simulator.add_device().install(TOPIC)
            asyncio.run(push(apns_simulator, phone.launch(TOPIC)))
            assert len(phone.notifications) == 1

        def test_control(apns_simulator):
            with pytest.raises(RuntimeError, match=r"install heliogram\\[server\\]"):
                apns_simulator.control_url
        """,
    )
    run = project.pytest()
    assert run.code == 0, run.output
    assert run.counts == {"passed": 2}
