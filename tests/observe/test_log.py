"""Log lines: JSON for machines, and never a secret."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from heliogram.domain.operations import Lane
from heliogram.lines import tell, tell_of_small_sends
from heliogram.observe import log as logs
from heliogram.rest.requestid import answering


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    tell_of_small_sends(on=False)
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(level: str = "info", **event: object) -> list[dict[str, object]]:
    out = io.StringIO()
    logs.configure(level=level, stream=out)
    structlog.get_logger().info("something.happened", **event)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_elsewhere_than_on_a_terminal_a_line_is_json() -> None:
    """One object a line, with the event, the level and a UTC time."""
    (line,) = lines(chunks=3)
    assert (line["event"], line["level"], line["chunks"]) == ("something.happened", "info", 3)
    assert str(line["timestamp"]).endswith("Z")


@pytest.mark.parametrize(
    "name", ["secret", "api_secret", "authorization", "private_key", "device_token", "password", "signing_key"]
)
def test_values_whose_name_sounds_like_a_secret_are_blanked(name: str) -> None:
    """A log line is copied into tickets and chats."""
    (line,) = lines(**{name: "hgs_abc"})
    assert line[name] == "[redacted]"


def test_below_its_level_nothing_is_written() -> None:
    """`--log-level warning` silences info."""
    assert lines(level="warning") == []


@pytest.mark.parametrize("as_json", [True, False])
def test_a_traceback_shows_no_local_variables(as_json: bool) -> None:
    """A secret in a variable of the failing function stays there."""
    out = io.StringIO()
    logs.configure(stream=out, form="json" if as_json else "console")

    def fail() -> None:
        opened = "hgs_" + "abc"
        raise RuntimeError(f"failed with {len(opened)} characters")

    try:
        fail()
    except RuntimeError:
        structlog.get_logger().exception("it.failed")
    assert "failed with 7 characters" in out.getvalue()
    assert "hgs_abc" not in out.getvalue()


def test_the_standard_logging_has_the_same_form() -> None:
    """What the HTTP layer and libraries say is JSON too, a line each: nothing in a request can forge a line."""
    out = io.StringIO()
    logs.configure(stream=out)
    try:
        raise RuntimeError("broken")
    except RuntimeError:
        logging.getLogger("heliogram.rest").exception("%s %s failed", "GET", "/a\nERROR forged")
    (line,) = [json.loads(line) for line in out.getvalue().splitlines()]
    assert (line["event"], line["level"]) == ("GET /a\nERROR forged failed", "error")
    assert line["logger"] == "heliogram.rest"
    assert "RuntimeError: broken" in line["exception"]


def test_nothing_in_a_request_moves_a_terminal() -> None:
    """On a console what strangers sent is escaped: a colour, a title, a line of its own, in paths and in errors."""
    out, sent = io.StringIO(), "/a\x1b]0;taken\x07\x9b31m\nforged \u202e"
    logs.configure(stream=out, form="console")
    for log in (logging.getLogger("heliogram.rest"), structlog.get_logger()):
        try:
            raise RuntimeError(f"broken by {sent}")
        except RuntimeError:
            log.exception("%s %s failed", "GET", sent) if isinstance(log, logging.Logger) else log.exception(
                sent, at=sent
            )
    told = out.getvalue()
    assert not [each for each in told if not each.isprintable() and each != "\n"]
    assert "GET /a\\x1b]0;taken\\x07\\x9b31m\\nforged \\u202e failed" in told
    assert "RuntimeError: broken by /a\\x1b]0;taken" in told


@pytest.mark.parametrize(("level", "lane", "told"), [("info", 0, 0), ("debug", 0, 1), ("info", 1, 1), ("error", 1, 0)])
def test_small_sends_have_lines_at_debug(level: str, lane: int, told: int) -> None:
    """There may be thousands a second; large ones have theirs at info. Each names the operation as the API does."""
    out = io.StringIO()
    logs.configure(level=level, stream=out)
    tell(structlog.get_logger(), Lane(lane), "chunk.ended", b"\1" * 16, sent=1)
    found = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [(line["event"], line["operation"][:16]) for line in found] == [("chunk.ended", "comms_operation_")] * told


def test_a_line_names_the_request_that_is_answered() -> None:
    """And no other one: not once it is answered."""
    out = io.StringIO()
    logs.configure(stream=out)
    log = structlog.get_logger()
    with answering("order-17"):
        log.info("within")
        logging.getLogger("some.library").warning("too")
    log.info("after")
    found = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line.get("request") for line in found] == ["order-17", "order-17", None]
