"""Runs the inner loops of engine and delivery with their twins in C and without them, in one process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from heliogram._accel import is_native
from heliogram.apns import alike, batch, connection
from heliogram.delivery import plan, rendering, waiting
from heliogram.delivery.providers.apns import forms, results
from heliogram.wire import client, client_sender

native_only = pytest.mark.skipif(not is_native(), reason="the accelerator was not built, or is switched off")

_PLACES = (
    (client_sender, "_open_fast"),
    (client, "_read_answers"),
    (connection, "_take_batch"),
    (connection, "_accept"),
    (connection, "_reject"),
    (alike, "_twins"),
    (batch, "_address"),
    (plan, "_targets"),
    (rendering, "_write"),
    (forms, "_same"),
    (results, "_results"),
    (waiting, "_records"),
)


@contextmanager
def pure() -> Iterator[None]:
    """As if the accelerator had not been built."""
    kept = [(module, name, getattr(module, name)) for module, name in _PLACES]
    for module, name, _ in kept:
        setattr(module, name, None)
    try:
        yield
    finally:
        for module, name, value in kept:
            setattr(module, name, value)
