"""Webhooks: what happens in an account, sent to who asked for it.

`verify` is for receivers: it needs the standard library alone. The rest of the room is imported from its modules.
"""

from .receiving import InvalidSignature, verify

__all__ = ["InvalidSignature", "verify"]
