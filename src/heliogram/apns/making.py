"""How a client's jobs are made: by the twins in C where there are any, else by the client's own method."""

from __future__ import annotations

from collections.abc import Callable

from heliogram import _accel

from .batch import BulkMaker, Maker, Push
from .checks import CANONICAL_ID
from .job import Job, Template
from .notification import COMMON, PLAIN_LIMIT, PLAIN_ROUTE, Notification, Prepared, Route, encode_json
from .payload import Alert, CommonAps

_CLASSES = (Job, Notification, Push, CommonAps, Prepared)
_MODELS = (Job("", "", Template("", "", 0), b"", (), b"", 0.0, id), Notification())


def makers(
    templates: dict[Route | tuple[str, Route], Template], next_id: Callable[[], bytes], careful: Maker
) -> tuple[Maker, BulkMaker | None]:
    """What makes one job, and what makes those of a whole batch, if anything does better than one by one.

    `careful` is asked when a push is not plain: then it makes the job, or raises.
    """
    own = (templates, next_id, careful, CANONICAL_ID, PLAIN_LIMIT, Notification.__struct_fields__[COMMON:])
    constants = (b"apns-id", "aps", 1, (), Alert)
    parts = (*_CLASSES, *_MODELS, encode_json, PLAIN_ROUTE, *own, *constants)
    make: Maker | None = _accel.twin("make", *parts)
    make_all: BulkMaker | None = _accel.twin("make_all", *parts)
    return make or careful, make_all
