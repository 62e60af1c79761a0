"""A `cafile` that cannot serve is refused when the client is made, by name and with the fix."""

from __future__ import annotations

from pathlib import Path

import pytest

from heliogram.apns import ApnsError, Client, InvalidCafile, SigningKey


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "cannot be read (No such file or directory)"),
        (b"", "holds no certificate in PEM"),
        (b"\x30\x82\x01\x00binary", "holds no certificate in PEM"),
        (b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", "holds no certificate in PEM"),
    ],
    ids=["missing", "empty", "not PEM", "broken"],
)
def test_a_bad_cafile_is_named(tmp_path: Path, signing_key: SigningKey, content: bytes | None, problem: str) -> None:
    """The error names the parameter, the path, what is wrong and what to give."""
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidCafile) as caught:
        Client(signing_key, topic="com.example.app", cafile=path)
    text = str(caught.value)
    assert text == f"cafile: {str(path)!r} {problem}; give the path of a file with the CA's certificate in PEM"
    assert isinstance(caught.value, ApnsError)
    assert caught.value.code == "invalid_cafile"


def test_a_directory_is_no_cafile(tmp_path: Path, signing_key: SigningKey) -> None:
    """A directory is refused in the same way."""
    with pytest.raises(InvalidCafile, match="cafile: "):
        Client(signing_key, topic="com.example.app", cafile=tmp_path)


def test_a_path_with_a_null_byte(signing_key: SigningKey) -> None:
    """What cannot be a path at all is refused in the same way."""
    with pytest.raises(InvalidCafile, match="is no path"):
        Client(signing_key, topic="com.example.app", cafile="a\0b")
