"""The pytest plugin of Heliogram: the fixture ``apns_simulator``, an APNs for the tests of any project.

It is loaded into every test run where Heliogram is installed, so it loads nothing itself before a test asks for it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from heliogram.simulator.testing import ApnsSimulator

SETTINGS = "heliogram_simulator_settings"
_SEEN = "heliogram.simulator.seen"


def pytest_addoption(parser: pytest.Parser) -> None:
    """One ini option: how the simulator behaves where Apple is silent."""
    parser.addini(
        SETTINGS,
        "settings of apns_simulator, NAME=VALUE one a line (names: python -m heliogram.simulator --help)",
        type="linelist",
        default=[],
    )


@pytest.fixture(scope="session")
def _apns_simulator_server(request: pytest.FixtureRequest) -> Iterator[ApnsSimulator]:
    from heliogram.simulator.__main__ import settings
    from heliogram.simulator.testing import ApnsSimulator

    try:
        chosen = settings(request.config.getini(SETTINGS))
    except ValueError as error:
        raise pytest.UsageError(f"{SETTINGS}: {str(error).removeprefix('--set').lstrip(' :')}") from None
    with ApnsSimulator(chosen) as server:
        yield server


@pytest.fixture
def apns_simulator(_apns_simulator_server: ApnsSimulator) -> ApnsSimulator:
    """A simulated APNs over TLS and HTTP/2, empty at the start of each test.

    .production, .sandbox: "host:port" for the client under test; .ca_file, .ca_pem: what it has to trust.
    .issue_key() gives key_id, team_id, p8, path; .add_device() a phone with .install(bundle_id), .launch(bundle_id)
    (gives the device token) and .notifications (.wait_for(n)). .requests, .violations: what APNs was asked, and what
    was against its rules. .advance(seconds): time passes. .fault(reason="Shutdown", next=1): something goes wrong.
    It runs on a thread of its own, for sync and async tests alike. Type: heliogram.simulator.testing.ApnsSimulator.
    """
    _apns_simulator_server.reset()
    return _apns_simulator_server


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """Explain comparisons with the simulator's lists one line an item."""
    ours = next((side for side in (left, right) if type(side).__module__ == _SEEN), None)
    if ours is None:
        return None
    from heliogram.simulator.seen import explain

    name = type(ours).__name__.lower()
    texts = [name if side is ours else repr(side) for side in (left, right)]
    return [f"{texts[0]} {op} {texts[1]}", f"the {name} are:", *(f"  {line}" for line in explain(ours) or ["(none)"])]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what APNs was asked beside the failure of a test that used it."""
    report = yield
    apns = getattr(item, "funcargs", {}).get("apns_simulator")
    if apns is not None and report.when == "call" and report.failed:
        report.sections.append(("APNs simulator", "\n".join(apns.report())))
    return report
