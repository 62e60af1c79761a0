"""Who asks, and whether that may be: the checks of certificates and provider tokens, in their order (9.3, step 5).

A provider token beside a certificate is not looked at (TOK-1, CERT-11): the checks of tokens pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .tables import TOKEN_LIFE

if TYPE_CHECKING:
    from .rules import Push


def bad_certificate(push: Push) -> bool:
    """Whether the certificate is unreadable, revoked, or not valid at this time (CERT-8, CERT-12)."""
    client = push.session.client
    return client is not None and not client.good(push.now)


def certificate_elsewhere(push: Push) -> bool:
    """Whether the certificate is not for this listener's environment; if it is, the connection is bound (TOK-13)."""
    return push.session.client is not None and not push.session.fits(push.environment)


def no_provider_token(push: Push) -> bool:
    """Whether there is neither certificate nor token."""
    if push.session.client is not None:
        return False
    # The scheme's case is unknown territory; HTTP compares it without case, and so does this.
    scheme, _, token = push.fields.get(b"authorization", b"").partition(b" ")
    return not token or scheme.lower() != b"bearer"


def token_changed_too_often(push: Push) -> bool:
    """Whether the memory that the connection shares has seen too many tokens."""
    session = push.session
    return session.client is None and not session.floor.admits(push.fields[b"authorization"], push.now)


def bad_provider_token(push: Push) -> bool:
    """Whether the token is not a good one of a known key; if it is, ``verified`` is there from now on."""
    if push.session.client is not None:
        return False
    verified = push.session.verified(push.fields[b"authorization"][7:])
    if verified is None:
        return True
    push.verified = verified
    settings = push.settings
    return verified.issued_at > push.now + settings.future_skew or (verified.der and settings.strict_signature)


def old_provider_token(push: Push) -> bool:
    """Whether the token has outlived its hour."""
    return push.session.client is None and push.now - push.verified.issued_at > TOKEN_LIFE


def key_of_other_environment(push: Push) -> bool:
    """Whether the key is restricted to the other environment."""
    return push.session.client is None and push.verified.key.environment not in (None, push.environment)


def other_team(push: Push) -> bool:
    """Whether the connection is bound to another team."""
    session = push.session
    return session.client is None and session.team_id not in (None, push.verified.key.team_id)


def unrelated_key(push: Push) -> bool:
    """Whether the connection is bound to a key that this one may not follow; if not, it is bound."""
    if push.session.client is not None:
        return False
    key = push.verified.key
    if not push.session.related(key):
        return True
    push.session.bind(key)
    return False
