"""The push types of APNs and what each one demands (apns-rules 4.2, SIZE-1)."""

from __future__ import annotations

import enum

import msgspec


class PushType(enum.StrEnum):
    """The value of `apns-push-type`."""

    # The hash of an enumeration is Python code; these are dictionary keys on the hot path.
    __hash__ = str.__hash__

    ALERT = "alert"
    BACKGROUND = "background"
    LOCATION = "location"
    VOIP = "voip"
    COMPLICATION = "complication"
    FILEPROVIDER = "fileprovider"
    MDM = "mdm"
    LIVEACTIVITY = "liveactivity"
    PUSHTOTALK = "pushtotalk"
    WIDGETS = "widgets"
    CONTROLS = "controls"


class Priority(enum.IntEnum):
    """The value of `apns-priority`."""

    __hash__ = int.__hash__

    LOWEST = 1
    """Never wakes the device."""
    LOW = 5
    """When the device finds it convenient; the only one for background pushes."""
    HIGH = 10
    """At once."""


class TypeRule(msgspec.Struct, frozen=True, gc=False):
    """What one push type demands of topic, priority and size."""

    suffix: str = ""
    """What follows the bundle id in `apns-topic`."""
    priorities: tuple[Priority, ...] = (Priority.HIGH, Priority.LOW, Priority.LOWEST)
    """The allowed priorities; the first one is used when none is given."""
    limit: int = 4096
    """The largest payload in bytes."""


_HIGH_LOW = (Priority.HIGH, Priority.LOW)

RULES: dict[PushType, TypeRule] = {
    PushType.ALERT: TypeRule(),
    PushType.BACKGROUND: TypeRule(priorities=(Priority.LOW,)),
    PushType.LOCATION: TypeRule(suffix=".location-query", priorities=_HIGH_LOW),
    PushType.VOIP: TypeRule(suffix=".voip", limit=5120),
    PushType.COMPLICATION: TypeRule(suffix=".complication"),
    PushType.FILEPROVIDER: TypeRule(suffix=".pushkit.fileprovider"),
    PushType.MDM: TypeRule(),
    PushType.LIVEACTIVITY: TypeRule(suffix=".push-type.liveactivity", priorities=_HIGH_LOW),
    PushType.PUSHTOTALK: TypeRule(suffix=".voip-ptt", priorities=(Priority.HIGH,)),
    PushType.WIDGETS: TypeRule(suffix=".push-type.widgets"),
    PushType.CONTROLS: TypeRule(suffix=".push-type.controls"),
}


_BY_NAME: dict[str, TypeRule] = {each.value: rule for each, rule in RULES.items()}
"""A member's text finds what the member does, without a look-up of the member."""


def payload_limit(push_type: PushType | str) -> int:
    """The largest payload of this push type, in bytes of the encoded JSON (SIZE-1)."""
    rule = _BY_NAME.get(push_type) or RULES[PushType(push_type)]
    return rule.limit


def topic_for(bundle_id: str, push_type: PushType | str) -> str:
    """The `apns-topic` of a push type for a bundle id; a topic that has its suffix already is left alone."""
    rule = _BY_NAME.get(push_type) or RULES[PushType(push_type)]
    suffix = rule.suffix
    return bundle_id if bundle_id.endswith(suffix) else bundle_id + suffix
