"""Where the master key comes from."""

from __future__ import annotations

import base64
import stat
from pathlib import Path

import pytest

from heliogram.security import KeyRing, KeySource, MasterKey, MasterKeyError, load_master_key


def text_of(number: int) -> str:
    """A key as text."""
    return base64.b64encode(bytes([number]) * 32).decode()


def ring_of(*numbers: int) -> KeyRing:
    return KeyRing(tuple(MasterKey(bytes([n]) * 32) for n in numbers), KeySource.FILE)


def test_a_named_file_goes_before_everything(tmp_path: Path) -> None:
    """The file given explicitly wins over environment, systemd and the data directory."""
    file = tmp_path / "given"
    file.write_text(text_of(1))
    found = load_master_key(tmp_path, file=file, environ={"HELIOGRAM_MASTER_KEY": text_of(2)})
    assert (found.source, found.first.id) == (KeySource.FILE, ring_of(1).first.id)


def test_the_environment_goes_before_systemd(tmp_path: Path) -> None:
    """HELIOGRAM_MASTER_KEY wins over the systemd credential."""
    (tmp_path / "heliogram-master-key").write_text(text_of(1))
    environ = {"HELIOGRAM_MASTER_KEY": f" {text_of(2)}\n", "CREDENTIALS_DIRECTORY": str(tmp_path)}
    found = load_master_key(tmp_path / "data", environ=environ)
    assert (found.source, found.first.id) == (KeySource.ENVIRONMENT, ring_of(2).first.id)


def test_systemd_goes_before_the_data_directory(tmp_path: Path) -> None:
    """The systemd credential wins over data/master.key."""
    (tmp_path / "heliogram-master-key").write_text(text_of(3))
    load_master_key(tmp_path, environ={})
    found = load_master_key(tmp_path, environ={"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert (found.source, found.first.id) == (KeySource.SYSTEMD, ring_of(3).first.id)


def test_a_key_is_made_once_and_kept(tmp_path: Path) -> None:
    """The first start makes data/master.key, later starts read it."""
    made = load_master_key(tmp_path, environ={})
    kept = load_master_key(tmp_path, environ={"CREDENTIALS_DIRECTORY": str(tmp_path / "none")})
    assert (made.source, kept.source) == (KeySource.GENERATED, KeySource.DATA)
    assert made.first.id == kept.first.id
    assert [path.name for path in tmp_path.iterdir()] == ["master.key"]


def test_the_made_key_is_for_its_owner_alone(tmp_path: Path) -> None:
    """data/master.key has mode 0600."""
    load_master_key(tmp_path, environ={})
    assert stat.S_IMODE((tmp_path / "master.key").stat().st_mode) == 0o600


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    """A data/master.key with wider modes is refused with the cure."""
    load_master_key(tmp_path, environ={})
    (tmp_path / "master.key").chmod(0o640)
    with pytest.raises(MasterKeyError, match="chmod 600"):
        load_master_key(tmp_path, environ={})


def test_a_race_for_the_first_key_has_one_winner(tmp_path: Path) -> None:
    """When another process makes the file meanwhile, its key stands."""

    def slow_random(count: int) -> bytes:
        load_master_key(tmp_path, environ={}, random_bytes=lambda n: b"\x07" * n)
        return b"\x08" * count

    found = load_master_key(tmp_path, environ={}, random_bytes=slow_random)
    assert (found.source, found.first.id) == (KeySource.DATA, ring_of(7).first.id)


def test_several_keys_make_a_ring(tmp_path: Path) -> None:
    """Keys stand one below the other, the first seals; comments are skipped."""
    file = tmp_path / "keys"
    file.write_text(f"# new\n{text_of(1)}\n # old\n{text_of(2)}\n")
    found = load_master_key(tmp_path, file=file, environ={})
    assert [key.id for key in found.keys] == [key.id for key in ring_of(1, 2).keys]


@pytest.mark.parametrize("text", ["", "# nothing\n", "short", base64.b64encode(b"x" * 31).decode(), "ü" * 44])
def test_what_is_no_key_is_refused_without_quoting_it(tmp_path: Path, text: str) -> None:
    """A malformed key is an error that names the place and not the text."""
    file = tmp_path / "keys"
    file.write_text(text)
    with pytest.raises(MasterKeyError, match="base64") as raised:
        load_master_key(tmp_path, file=file, environ={})
    assert str(file) in str(raised.value)
    assert len(text) < 5 or text not in str(raised.value)


def test_16_keys_are_a_ring_and_17_are_not(tmp_path: Path) -> None:
    """At most 16 keys."""
    file = tmp_path / "keys"
    file.write_text("\n".join(text_of(n) for n in range(16)))
    assert len(load_master_key(tmp_path, file=file, environ={}).keys) == 16
    file.write_text("\n".join(text_of(n) for n in range(17)))
    with pytest.raises(MasterKeyError, match="found 17"):
        load_master_key(tmp_path, file=file, environ={})


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    """A file above 16,384 bytes is no master key."""
    file = tmp_path / "keys"
    file.write_text("#" * 16_384 + "\n")
    with pytest.raises(MasterKeyError, match="16384 bytes"):
        load_master_key(tmp_path, file=file, environ={})


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """A named file that is not there is an error, not a reason to make another key."""
    with pytest.raises(MasterKeyError, match=r"nowhere: No such file"):
        load_master_key(tmp_path, file=tmp_path / "nowhere", environ={})


def test_a_data_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    """The key cannot be made where there is no directory."""
    with pytest.raises(MasterKeyError, match="cannot make the master key"):
        load_master_key(tmp_path / "none", environ={})


def test_each_purpose_has_a_key_of_its_own() -> None:
    """Derived keys differ by purpose and by master key, and are the same every time."""
    one, two = ring_of(1, 2).keys
    assert one.derive("a") == MasterKey(b"\x01" * 32).derive("a")
    assert len({one.derive("a"), one.derive("b"), two.derive("a")}) == 3


def test_no_secret_is_shown() -> None:
    """The reprs hold ids, not keys."""
    ring = ring_of(65)
    assert repr(ring) == f"KeyRing(keys=1, first={ring.first.id.hex()}, source='file')"
    assert repr(ring.first) == f"MasterKey({ring.first.id.hex()})"
