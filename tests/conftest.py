"""What every test may ask for."""

import signal

import pytest


def pytest_configure() -> None:
    """A shell without job control lets what it starts in the background ignore Ctrl-C, and so would every program that
    a test starts and stops that way."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
