"""What every test may ask for, and what none leaves behind."""

import signal
import sys
from collections.abc import Iterator

import pytest
import structlog


def pytest_configure() -> None:
    """A shell without job control lets what it starts in the background ignore Ctrl-C, and so would every program that
    a test starts and stops that way."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def logs_as_they_were() -> Iterator[None]:
    """A command that ran within a test has set the logs up for its process, which is the tests' own: a later test that
    captures them would see nothing below a warning."""
    yield
    if structlog.is_configured():
        structlog.reset_defaults()
        for name in [name for name in sys.modules if name.startswith("heliogram")]:
            for value in vars(sys.modules[name]).values():
                if isinstance(value, structlog._config.BoundLoggerLazyProxy):
                    vars(value).pop("bind", None)  # kept since its first use
