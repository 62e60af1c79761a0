"""Where workers get chunks from."""

from .db import DbQueue

__all__ = ["DbQueue"]
