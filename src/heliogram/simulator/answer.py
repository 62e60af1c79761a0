"""What a request is answered with, and the answer that a fault meets on its way out."""

from __future__ import annotations

import msgspec

from .faultspec import Fault


class Answer(msgspec.Struct, frozen=True, gc=False):
    """Status, header fields without ``:status``, and the body."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


class Disturbed(Answer, frozen=True, gc=False):
    """An answer and the fault that the connection is to carry out with it. ``status`` 0: there is no answer."""

    fault: Fault
