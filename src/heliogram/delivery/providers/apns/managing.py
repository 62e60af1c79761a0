"""Broadcast channels, through the connections of a credential (apns-rules 6.2)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from .... import apns
from ....domain.apps import OpenedCredential
from ....domain.channels import Channel, StoragePolicy
from ....ports import ChannelRefused
from .held import Held
from .results import said

SECONDS = 15.0
"""What one call may take in all."""
_UNKNOWN = frozenset({"ChannelNotRegistered", "BadChannelId"})
_POLICIES = {
    StoragePolicy.NO_MESSAGE_STORED: apns.MessageStoragePolicy.NO_MESSAGE_STORED,
    StoragePolicy.MOST_RECENT_MESSAGE_STORED: apns.MessageStoragePolicy.MOST_RECENT_MESSAGE_STORED,
}
_POLICY_OF = {theirs: ours for ours, theirs in _POLICIES.items()}

Use = Callable[[OpenedCredential], AbstractContextManager[Held]]


class Managing:
    """The port's `Channels`. `use` lends the connections of a credential."""

    def __init__(self, use: Use) -> None:
        self._use = use

    async def create_channel(self, credential: OpenedCredential, policy: StoragePolicy) -> str:
        """Makes a channel; its id."""
        try:
            with self._use(credential) as held:
                return await held.channels.create(_POLICIES[policy], timeout=SECONDS)
        except apns.ApnsError as error:
            raise refusal(error) from error

    async def read_channel(self, credential: OpenedCredential, channel_id: str) -> Channel:
        """What a channel is like."""
        try:
            with self._use(credential) as held:
                found = await held.channels.read(channel_id, timeout=SECONDS)
        except apns.ApnsError as error:
            raise refusal(error) from error
        return Channel(channel_id=channel_id, policy=_POLICY_OF[found.policy], push_type=found.push_type)

    async def list_channels(self, credential: OpenedCredential) -> list[str]:
        """The ids of all channels."""
        try:
            with self._use(credential) as held:
                return await held.channels.list(timeout=SECONDS)
        except apns.ApnsError as error:
            raise refusal(error) from error

    async def delete_channel(self, credential: OpenedCredential, channel_id: str) -> None:
        """Removes a channel for good."""
        try:
            with self._use(credential) as held:
                await held.channels.delete(channel_id, timeout=SECONDS)
        except apns.ApnsError as error:
            raise refusal(error) from error


def refusal(error: apns.ApnsError) -> ChannelRefused:
    """What the engine says, in the port's words."""
    if not isinstance(error, apns.ChannelError):
        return ChannelRefused(said(error), later=isinstance(error, apns.InvalidCafile))
    return ChannelRefused(
        str(error),
        reason=error.reason,
        unknown_channel=error.reason in _UNKNOWN,
        later=error.status is None or error.status == 429 or error.status >= 500,
        perhaps_done=error.may_have_happened,
    )
