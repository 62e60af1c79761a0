"""PEM text as people really paste it: without line breaks, in base64, with `\\n` spelled out."""

from __future__ import annotations

import base64
import binascii
import re
import textwrap

import msgspec

_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}").fullmatch
MARKER = "-----BEGIN "


class Block(msgspec.Struct, frozen=True, gc=False):
    """One PEM block. `repr` shows its label only: the body may be a secret."""

    label: str
    body: str
    """Base64 without white space."""

    def __repr__(self) -> str:
        return f"<Block {self.label}>"

    def pem(self) -> bytes:
        """The block as RFC 7468 wants it: lines of 64 characters."""
        lines = "\n".join(textwrap.wrap(self.body, 64))
        return f"-----BEGIN {self.label}-----\n{lines}\n-----END {self.label}-----\n".encode("ascii")


def blocks(source: str | bytes) -> list[Block]:
    """The PEM blocks of a text, tolerating what strict parsers refuse; [] when there are none.

    Raises `ValueError` when a block's body is not base64 or is encrypted the old way.
    """
    text = unwrap(source)
    return [Block(label, _body(label, body)) for label, body in _BLOCK.findall(text)]


def unwrap(source: str | bytes) -> str:
    """PEM text from PEM text or from base64 of it; anything else as it is."""
    text = source.decode("utf-8", "replace") if isinstance(source, bytes) else source
    text = text.replace("\\r", "").replace("\\n", "\n")
    if MARKER in text:
        return text
    packed = "".join(text.split())
    if _BASE64(packed):
        try:
            decoded = base64.b64decode(packed, validate=True).decode("ascii")
        except (binascii.Error, UnicodeDecodeError):
            return text
        if MARKER in decoded:
            return decoded.replace("\\n", "\n")
    return text


def _body(label: str, body: str) -> str:
    if "ENCRYPTED" in label or "Proc-Type" in body:
        raise ValueError(f"the {label} block is encrypted; decrypt it first, for example with openssl pkey")
    packed = "".join(body.split())
    if not _BASE64(packed) or len(packed) % 4:
        raise ValueError(f"the {label} block is not base64; copy the file again, whole")
    return packed
