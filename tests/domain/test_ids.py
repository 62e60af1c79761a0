"""Ids: UUIDv7 with a recipient and a device in the low bits, written as TypeIDs."""

from __future__ import annotations

import re
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliogram.domain import ids

RAW = st.binary(min_size=16, max_size=16)
MOMENT = st.integers(0, (1 << 48) - 1)


def factory(ms: int = 1_800_000_000_000, bits: int = -1) -> ids.IdFactory:
    """A factory whose random bits are all `bits`."""
    return ids.IdFactory(lambda: ms, lambda count: bits & (1 << count) - 1)


@given(ms=MOMENT, a=st.integers(0, (1 << 12) - 1), b=st.integers(0, (1 << 42) - 1))
def test_an_id_is_a_uuid_of_version_7(ms: int, a: int, b: int) -> None:
    """RFC 9562 §5.7: version, variant and time stand where they should, the last 20 bits are free."""
    raw = ids.make(ms, a, b)
    parsed = uuid.UUID(bytes=raw)
    assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
    assert ids.time_of(raw) == parsed.int >> 80 == ms
    assert parsed.int & 0xFFFFF == 0


@pytest.mark.parametrize("bits", [0, -1])
def test_random_bits_stay_in_their_place(bits: int) -> None:
    """All zeros and all ones touch neither version nor the low 20 bits."""
    parsed = uuid.UUID(bytes=factory(bits=bits).new())
    assert (parsed.version, parsed.variant, parsed.int & 0xFFFFF) == (7, uuid.RFC_4122, 0)


@pytest.mark.parametrize(("back", "kept"), [(1, True), (ids.STEP_BACK_MS, True), (ids.STEP_BACK_MS + 1, False)])
def test_ids_stay_in_order_when_the_clock_is_set_back(back: int, kept: bool) -> None:
    """By up to an hour; by more, and the clock was wrong before: ids follow it."""
    moments = [1_800_000_000_000, 1_800_000_000_000 - back, 1_800_000_000_001]
    given = ids.IdFactory(iter(moments).__next__)
    first, second, third = given.new(), given.new(), given.new()
    assert ids.time_of(second) == (moments[0] if kept else moments[1])
    assert first != second
    assert ids.time_of(third) == moments[2]


def test_ids_sort_by_time() -> None:
    """A later millisecond is a greater id, whatever the random bits."""
    assert factory(5, -1).new() < factory(6, 0).new()


@given(ms=MOMENT, other=MOMENT)
def test_the_floor_of_a_moment_cuts_ids_by_time(ms: int, other: int) -> None:
    """No id of the moment or later is below it, none of an earlier one is above."""
    assert (ids.make(other, 0, 0) >= ids.floor_of(ms)) is (other >= ms)


@pytest.mark.parametrize(("ms", "floor"), [(-1, b"\0" * 16), (1 << 48, b"\xff" * 6 + b"\0" * 10)])
def test_the_floor_of_an_impossible_moment_is_the_nearest_possible(ms: int, floor: bytes) -> None:
    """A range from before 1970 or to after the year 10889 is no error."""
    assert ids.floor_of(ms) == floor


@given(sequence=st.integers(0, ids.MAX_SEQUENCE), slot=st.integers(0, ids.MAX_SLOT))
def test_a_notification_leads_back_to_its_operation(sequence: int, slot: int) -> None:
    """Operation, recipient and device are read from the id."""
    operation = factory().new()
    ident = ids.notification_id(operation, sequence, slot)
    assert ids.split_notification_id(ident) == (operation, sequence, slot)
    assert ids.time_of(ident) == ids.time_of(operation)


def test_a_delivery_is_its_notification_with_a_slot() -> None:
    """The slot stands in the last six bits, whatever was there before."""
    operation = factory().new()
    notification = ids.notification_id(operation, 9_999)
    assert ids.notification_id(ids.notification_id(operation, 1, 5), 9_999, 0) == notification
    assert int.from_bytes(ids.notification_id(operation, 9_999, 63)) - int.from_bytes(notification) == 63


@pytest.mark.parametrize(("sequence", "slot"), [(-1, 0), (16_384, 0), (0, -1), (0, 64)])
def test_what_does_not_fit_is_refused(sequence: int, slot: int) -> None:
    """Sequences go to 16,383, slots to 63."""
    ids.notification_id(factory().new(), 16_383, 63)
    with pytest.raises(ValueError, match="does not fit"):
        ids.notification_id(factory().new(), sequence, slot)


@given(sequence=st.integers(0, ids.MAX_SEQUENCE), slot=st.integers(0, ids.MAX_SLOT))
def test_deliveries_of_an_operation_have_the_texts_of_their_ids(sequence: int, slot: int) -> None:
    """REQ-1: made of what they share and their own five digits, they are what `uuid_text` says."""
    operation = factory().new()
    text = ids.DeliveryTexts(operation).of(sequence, slot)
    assert text == ids.uuid_text(ids.notification_id(operation, sequence, slot))


@given(raw=RAW)
def test_an_id_as_text_comes_back(raw: bytes) -> None:
    """26 characters after the prefix, in the documented alphabet."""
    text = ids.encode(ids.NOTIFICATION, raw)
    assert re.fullmatch(r"comms_pushnotification_[0-7][a-hjkmnp-tv-z0-9]{25}", text)
    assert ids.decode(ids.NOTIFICATION, text) == raw


@given(one=RAW, other=RAW)
def test_text_sorts_as_the_id_does(one: bytes, other: bytes) -> None:
    """TypeIDs keep the order of time."""
    assert (ids.encode("x", one) < ids.encode("x", other)) is (one < other)


def test_the_text_is_a_typeid() -> None:
    """The example of the TypeID specification."""
    raw = uuid.UUID("01890a5d-ac96-774b-bcce-b302099a8057").bytes
    assert ids.encode("prefix", raw) == "prefix_01h455vb4pex5vsknk084sn02q"


@given(raw=RAW)
def test_the_uuid_form_is_what_uuid_prints(raw: bytes) -> None:
    """REQ-1: lower case, 8-4-4-4-12."""
    assert ids.uuid_text(raw) == str(uuid.UUID(bytes=raw))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "_",
        "key",
        "key_",
        "key_01h455vb4pex5vsknk084sn02",
        "key_01h455vb4pex5vsknk084sn02qq",
        "key_81h455vb4pex5vsknk084sn02q",
        "key_01H455VB4PEX5VSKNK084SN02Q",
        "key_01h455vb4pex5vsknk084sn02u",
        "key_01h455vb4pex5vsknk084sn02 ",
        "key_0+h455vb4pex5vsknk084sn02q",
        "key_01h455vb4pex5vsknk084sn0\u0661q",
        "account_01h455vb4pex5vsknk084sn02q",
        "_key_01h455vb4pex5vsknk084sn02q",
        "key_01h455vb4pex5vsknk084sn02q\n",
    ],
)
def test_what_is_no_id_of_the_kind_is_refused(text: str) -> None:
    """Another kind, length, alphabet or a first character past 7."""
    with pytest.raises(ids.InvalidId):
        ids.decode("key", text)


@given(text=st.text(max_size=40))
def test_any_text_is_an_id_or_is_refused(text: str) -> None:
    """Nothing else happens; what is accepted is the one way to write it."""
    for candidate in (text, f"key_{text}"):
        try:
            raw = ids.decode("key", candidate)
        except ids.InvalidId:
            continue
        assert ids.encode("key", raw) == candidate


def test_fresh_ids_differ() -> None:
    """54 random bits a millisecond."""
    make = ids.IdFactory(lambda: 1_800_000_000_000)
    assert len({make.new() for _ in range(10_000)}) == 10_000


@given(st.integers(1, 64))
def test_random_bits_are_as_many_as_asked_for(bits: int) -> None:
    """All ones of the system's are all ones of so many bits."""
    source = ids.RandomBits(lambda size: b"\xff" * size)
    assert source(bits) == (1 << bits) - 1


def test_random_bits_are_asked_for_many_at_a_time_and_told_once() -> None:
    """Each number is told once, and the system is asked again when they are used up."""
    asked = []

    def count(size: int) -> bytes:
        asked.append(size)
        first = sum(asked) - size
        return b"".join((first + at).to_bytes(8, "little") for at in range(0, size, 8))

    source = ids.RandomBits(count)
    size = 8 * 128
    found = {source(64) for _ in range(256)}
    assert len(found) == 256
    assert asked == [size, size]
    assert repr(source) == "RandomBits(left=0)"
