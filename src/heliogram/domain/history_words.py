"""What happened to a device, in plain words: for the dashboard and the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from .apps import ProviderName
from .history import DeviceEvent


class Happened(NamedTuple):
    """An entry's facts as its reader is shown them: moments are text already, '' for what is not known."""

    event: str
    provider: str
    environment: str = ""
    reason: str = ""
    status: int | None = None
    invalid_since: str = ""
    first_registered: str = ""
    last_registered: str = ""
    new_token: str = ""

    @property
    def who(self) -> str:
        """The provider's usual name."""
        return "FCM" if self.provider == ProviderName.FCM else "APNs"

    @property
    def said(self) -> str:
        """What the provider answered."""
        status = "" if self.status is None else f" {self.status}"
        return f"{self.who} answered{status} {self.reason}" if self.reason else f"{self.who} called the token dead"


class Words(NamedTuple):
    """What to call it, whether that is good or bad for who waits for a push, and what it means."""

    title: str
    tone: str
    text: str


def _registered(it: Happened) -> str:
    return "The app handed this token over for the first time."


def _revived(it: Happened) -> str:
    return "The app registered the token anew, and so it is sent to again."


def _moved_here(it: Happened) -> str:
    return "The token was another user's: somebody else had been signed in on this phone."


def _moved_away(it: Happened) -> str:
    return f"Another user signed in on this phone, and gets its pushes now.{_handed(it)}"


def _changed(it: Happened) -> str:
    return f"The app on this phone was given {it.new_token or 'another token'}, and pushes go there.{_handed(it)}"


def _learned(it: Happened) -> str:
    return f"The app had not said it; {it.who} took a push in {it.environment or 'one of the two'}."


def _refused(it: Happened) -> str:
    last = f", last {it.last_registered}" if it.last_registered else ""
    return f"{it.said}{_since(it)}. The app has registered it since{last}: it is kept, and pushes are tried."


def _quarantined(it: Happened) -> str:
    return f"{it.said}. Nothing is sent to it until the app registers it anew."


def _removed(it: Happened) -> str:
    cure = "It comes back when the app is opened and registers again."
    return f"{it.said}{_since(it)}: most often the app was removed from the phone.{_handed(it)} {cure}"


def _displaced(it: Happened) -> str:
    return f"The user had as many devices as there may be, and this one had been silent longest.{_handed(it)}"


def _deleted(it: Happened) -> str:
    return f"By request: the app signed out, or somebody removed the device.{_handed(it)}"


def _since(it: Happened) -> str:
    return f", not valid since {it.invalid_since}" if it.invalid_since else ""


def _handed(it: Happened) -> str:
    """When the app had handed over a token that is not there any more."""
    if not it.first_registered:
        return ""
    if it.first_registered == it.last_registered:
        return f" The app had registered it {it.first_registered}."
    return f" The app had registered it first {it.first_registered}, last {it.last_registered}."


_WORDS: Mapping[str, tuple[str, str, Callable[[Happened], str]]] = {
    DeviceEvent.REGISTERED: ("Registered", "good", _registered),
    DeviceEvent.REVIVED: ("Revived", "good", _revived),
    DeviceEvent.MOVED_HERE: ("Came from another user", "good", _moved_here),
    DeviceEvent.MOVED_AWAY: ("Went to another user", "bad", _moved_away),
    DeviceEvent.TOKEN_CHANGED: ("Token changed", "plain", _changed),
    DeviceEvent.ENVIRONMENT_LEARNED: ("Environment learned", "plain", _learned),
    DeviceEvent.REFUSED: ("Refused, and kept", "warn", _refused),
    DeviceEvent.QUARANTINED: ("Quarantined", "bad", _quarantined),
    DeviceEvent.REMOVED: ("Removed", "bad", _removed),
    DeviceEvent.DISPLACED: ("Made room", "bad", _displaced),
    DeviceEvent.DELETED: ("Deleted", "bad", _deleted),
}


def words_of(it: Happened) -> Words:
    """An entry in plain words; of an event that is unknown here, its name."""
    known = _WORDS.get(it.event)
    if known is None:
        return Words(it.event, "plain", "")
    title, tone, text = known
    return Words(title, tone, text(it))
