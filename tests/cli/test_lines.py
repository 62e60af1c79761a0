"""Lines as they come through a pipe."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from heliogram.cli.lines import LONGEST, lines

pytestmark = pytest.mark.anyio


class Pipe:
    """Its two ends."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()

    def close_writer(self) -> None:
        writer, self.writer = self.writer, -1
        if writer >= 0:
            os.close(writer)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.close_writer()
    os.close(made.reader)


async def test_lines_come_one_by_one(anyio_backend: str, pipe: Pipe) -> None:
    """Each is there when its end is, whatever the end, and characters may be cut anywhere; the last needs no end."""
    found = lines(pipe.reader, "--from")
    for piece, whole in ((b"\xef\xbb\xbfone\n", ["one"]), (b"tw\xc3", []), (b"\xa9\r\nx\rlas", ["tw\xe9", "x"])):
        os.write(pipe.writer, piece)
        for line in whole:
            assert await anext(found) == line
    os.write(pipe.writer, b"t\xff")
    pipe.close_writer()
    assert [line async for line in found] == ["last\N{REPLACEMENT CHARACTER}"]


@pytest.mark.parametrize("size", [LONGEST, LONGEST + 1])
@pytest.mark.parametrize("end", [b"", b"\n"])
async def test_the_longest_line(anyio_backend: str, tmp_path: Path, end: bytes, size: int) -> None:
    """Of 65,536 characters it is one, one more is refused with the number of the line."""
    (tmp_path / "lines").write_bytes(b"one\n" + b"x" * size + end)
    with (tmp_path / "lines").open("rb") as file:
        found = lines(file.fileno(), "--from")
        assert await anext(found) == "one"
        if size > LONGEST:
            with pytest.raises(click.UsageError, match="--from: line 2 has more than 65536 characters"):
                await anext(found)
        else:
            assert [len(line) async for line in found] == [size]


async def test_what_cannot_be_read(anyio_backend: str, tmp_path: Path) -> None:
    """The option is named, with the system's own words."""
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(click.UsageError, match="--from: Is a directory"):
            await anext(lines(folder, "--from"))
    finally:
        os.close(folder)


async def test_giving_up_the_wait(anyio_backend: str, pipe: Pipe) -> None:
    """Whoever stops reads no more; what comes late is nobody's, and harms nobody."""
    found = lines(pipe.reader, "--from")
    os.write(pipe.writer, b"one\n")
    assert await anext(found) == "one"
    await found.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(found)
