"""The configuration file: where it is found, and what it may say."""

from __future__ import annotations

from pathlib import Path

import pytest

from heliogram.configuration import ConfigError, find_file, read_file
from heliogram.configuration.file import MAX_BYTES
from heliogram.settings import Address


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "heliogram.toml"


def problems(file: Path, text: str) -> list[str]:
    """What is wrong, without the directory."""
    file.write_text(text)
    try:
        found = read_file(file).problems
    except ConfigError as error:
        found = error.problems
    return [line.replace(f"{file.parent}/", "") for line in found]


def test_the_file_is_named_or_here_or_the_machines(tmp_path: Path) -> None:
    """In this order; without any there is none."""
    here, system = tmp_path / "here", tmp_path / "system.toml"
    here.mkdir()
    assert find_file(None, {}, here=here, system=system) is None
    system.touch()
    assert find_file(None, {}, here=here, system=system) == system
    (here / "heliogram.toml").touch()
    assert find_file(None, {}, here=here, system=system) == here / "heliogram.toml"
    assert find_file(None, {"HELIOGRAM_CONFIG": "b"}, here=here, system=system) == Path("b")
    assert find_file("a", {"HELIOGRAM_CONFIG": "b"}, here=here, system=system) == Path("a")


def test_a_file_that_is_named_must_be_there(file: Path) -> None:
    """Whoever names a file means it."""
    with pytest.raises(ConfigError, match=r"heliogram.toml: No such file or directory: .*--config"):
        read_file(file)


def test_a_name_may_stand_in_a_table_of_its_first_words(file: Path) -> None:
    """`[apns] cacert` is `apns_cacert`; relative paths begin at the file."""
    file.write_text('senders = 2\n[apns]\ncacert = "ca.pem"\nmanage.sandbox = ":2195"\n[hot_team]\nABCDE12345 = 4\n')
    read = read_file(file)
    assert read.problems == []
    assert {name: entry.value for name, entry in read.entries.items()} == {
        "senders": 2,
        "apns_cacert": file.parent / "ca.pem",
        "apns_manage_sandbox": Address("127.0.0.1", 2195),
        "hot_team": {"ABCDE12345": 4},
    }
    assert read.where("apns_cacert").endswith("heliogram.toml:3")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sender = 1", ["heliogram.toml:1: there is no setting 'sender'; did you mean senders?"]),
        (
            "\n[apns]\nca_cert = 'x'",
            ["heliogram.toml:3: there is no setting 'apns_ca_cert'; did you mean apns_cacert?"],
        ),
        ("queue-shards = 1", ["heliogram.toml:1: there is no setting 'queue-shards'; did you mean queue_shards?"]),
        ("zzz = 1", ["heliogram.toml:1: there is no setting 'zzz'; see: heliogram config example"]),
        (
            "master_key = 'hidden'",
            ["heliogram.toml:1: the master key itself does not belong here: give its file, master_key_file"],
        ),
        ("x = " + "[" * 20_000, ["heliogram.toml: it is nested too deeply: is it another file?"]),
        ("x = [", ["heliogram.toml: this is no TOML: Invalid value (at end of document)"]),
        ("a = 1\nx == 2", ["heliogram.toml:2: this is no TOML: Invalid value"]),
        (
            "apns_cacert = 'a'\n[apns]\ncacert = 'b'",
            ["heliogram.toml:1: apns_cacert is given twice, by itself and in a table"],
        ),
        (
            "store = 'postgresql://a'\nstore_file = 'b'",
            ["heliogram.toml:2: give store or store_file, not both"],
        ),
        (
            "senders = 65\nlisten = 80\n\n[webhooks]\nallow_http = 1",
            [
                "heliogram.toml:1: senders: expected 0 to 64, got 65",
                "heliogram.toml:2: listen: expected an address as text, in quotation marks; got a whole number",
                "heliogram.toml:5: webhooks_allow_http: expected true or false, without quotation marks;"
                " got a whole number",
            ],
        ),
        ("store = 'http://x:hidden@y'", None),
    ],
)
def test_everything_that_is_wrong_is_said_with_its_line(file: Path, text: str, expected: list[str] | None) -> None:
    """All at once, with the nearest known name, and never with a secret."""
    found = problems(file, text)
    assert found
    assert "hidden" not in "".join(found)
    if expected is not None:
        assert found == expected


def test_what_is_no_configuration_file_is_told(file: Path) -> None:
    """One byte past the bound, and bytes that are no text."""
    file.write_bytes(b"#" * MAX_BYTES)
    assert read_file(file).problems == []
    assert problems(file, "#" * (MAX_BYTES + 1)) == [
        f"heliogram.toml: it has more than {MAX_BYTES} bytes: is it another file?"
    ]
    file.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_file(file)
