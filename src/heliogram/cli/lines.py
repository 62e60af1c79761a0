"""Lines of text as they come, from a pipe, a terminal or a device, beside a running event loop."""

from __future__ import annotations

import asyncio
import codecs
import io
import os
import queue
import threading
from collections.abc import AsyncGenerator

import click

_PIECE = 65536
"""Bytes read at once; no more are kept than this and the line that they end in."""
LONGEST = 65536
"""Characters of a line."""


async def lines(descriptor: int, option: str) -> AsyncGenerator[str, None]:
    """The lines of a file descriptor, each as soon as it is there, without their ends; the last one needs none.

    A byte order mark in front is left out, what is no UTF-8 is replaced. Raises `click.UsageError`, which names
    `option`, when it cannot be read or a line has more than `LONGEST` characters.
    """
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder("utf-8-sig")("replace"), translate=True)
    wanted: queue.SimpleQueue[asyncio.Future[bytes] | None] = queue.SimpleQueue()
    # A thread that nobody waits for at the end: it may sit in a read that never returns.
    threading.Thread(target=_read, args=(descriptor, wanted), name="heliogram-lines", daemon=True).start()
    number, begun, data = 1, "", b"-"
    try:
        while data:
            piece: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
            wanted.put(piece)
            try:
                data = await piece
            except OSError as error:
                raise click.UsageError(f"{option}: {error.strerror}") from None
            *whole, begun = (begun + decoder.decode(data, final=not data)).split("\n")
            for line in whole:
                yield _bounded(line, number, option)
                number += 1
            _bounded(begun, number, option)
        if begun:
            yield begun
    finally:
        wanted.put(None)


def _bounded(line: str, number: int, option: str) -> str:
    if len(line) > LONGEST:
        raise click.UsageError(f"{option}: line {number} has more than {LONGEST} characters")
    return line


def _read(descriptor: int, wanted: queue.SimpleQueue[asyncio.Future[bytes] | None]) -> None:
    """Read a piece for each future, in a thread."""
    while (piece := wanted.get()) is not None:
        found: bytes | OSError
        try:
            # Not by way of the buffer of sys.stdin: its lock, held by a thread, is fatal when the interpreter ends.
            found = os.read(descriptor, _PIECE)
        except OSError as error:
            found = error
        try:
            piece.get_loop().call_soon_threadsafe(_hand_over, piece, found)
        except RuntimeError:
            return  # the loop is closed


def _hand_over(piece: asyncio.Future[bytes], found: bytes | OSError) -> None:
    if piece.done():
        return  # nobody waits any more
    if isinstance(found, OSError):
        piece.set_exception(found)
    else:
        piece.set_result(found)
