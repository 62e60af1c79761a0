"""Which of an app's credentials a push goes out with."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from ..domain.apps import CredentialType, Environment

_TYPE = {Environment.PRODUCTION: CredentialType.APN, Environment.SANDBOX: CredentialType.APN_SANDBOX}
_ENVIRONMENT = {type_: environment for environment, type_ in _TYPE.items()}


class Credentials(msgspec.Struct, frozen=True):
    """Which credential carries what: the app's defaults by type, or the one the caller named."""

    defaults: Mapping[CredentialType, bytes]
    named: bytes | None = None
    named_type: CredentialType | None = None

    def choose(self, environment: Environment | None) -> tuple[bytes, Environment] | None:
        """The credential and environment for an APNs token; None when there is none for it.

        A named credential decides for tokens whose environment is not known to be another; else what the token was
        registered for; else the app's APN default, then its APN_SANDBOX one.
        """
        if self.named is not None and self.named_type is not None:
            wanted = _ENVIRONMENT[self.named_type]
            return (self.named, wanted) if environment in (None, wanted) else None
        wanted_types = (_TYPE[environment],) if environment else (CredentialType.APN, CredentialType.APN_SANDBOX)
        for type_ in wanted_types:
            if type_ in self.defaults:
                return self.defaults[type_], _ENVIRONMENT[type_]
        return None

    def other(self, environment: Environment) -> tuple[bytes, Environment] | None:
        """The credential for the other environment; None when there is none, or the caller named the one to use."""
        type_ = CredentialType.APN if environment is Environment.SANDBOX else CredentialType.APN_SANDBOX
        if self.named is not None or type_ not in self.defaults:
            return None
        return self.defaults[type_], _ENVIRONMENT[type_]


def plain_choices(credentials: Credentials) -> tuple[tuple[Environment | None, bytes, Environment], ...]:
    """What is known of a token's environment, and the credential and environment for it, where there is one and it is
    the only one to try."""
    choices = [(known, credentials.choose(known)) for known in (None, *Environment)]
    return tuple(
        (known, *choice)
        for known, choice in choices
        if choice is not None and (known is not None or credentials.other(choice[1]) is None)
    )
