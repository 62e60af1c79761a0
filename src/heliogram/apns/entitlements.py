"""What a credential can send, as far as it can be told before APNs says so (TOK-11 to TOK-15, CERT-2 to CERT-6)."""

from __future__ import annotations

import datetime
from collections.abc import Collection

from .certificates import Certificate
from .environment import Environment
from .errors import InvalidCertificate, InvalidNotification, InvalidSigningKey
from .keys import SigningKey
from .pushtypes import RULES, PushType

Credential = SigningKey | Certificate

_SUFFIXES = tuple(rule.suffix for rule in RULES.values() if rule.suffix)
_LISTED_BY_NAME = (".voip", ".complication")
"""The kinds of topic that certificates list one by one; the rest goes with the app's own (4.2)."""
_SHOWN = 5


def check_client(credential: Credential, environment: Environment, topic: str | None, now: float) -> None:
    """Refuse a credential that cannot work for such a client; `now` in epoch seconds.

    Raises `InvalidSigningKey` or `InvalidCertificate`.
    """
    if isinstance(credential, Certificate):
        fault = _certificate_fault(credential, environment, topic) or end_of_life(credential, now)
        if fault is not None:
            raise InvalidCertificate(fault)
        return
    if credential.environment not in (None, environment):
        raise InvalidSigningKey(
            f"environment: the key is for {credential.environment}, not for {environment}; give the other "
            "environment's key, or the client the key's environment (TOK-11)"
        )
    if topic is not None and credential.topics is not None and not _related(credential.topics, topic):
        listed = _list(credential.topics)
        raise InvalidSigningKey(f"topics: the key is for {listed}, not for {topic}; use a key for this topic (TOK-15)")


def _certificate_fault(certificate: Certificate, environment: Environment, topic: str | None) -> str | None:
    if not certificate.allows(environment):
        allowed = " and ".join(sorted(certificate.environments))
        return f"certificate: is for {allowed}, not for {environment}"
    if topic is not None and not _related(certificate.topics, topic):
        return f"certificate: is for {_list(certificate.topics)}, not for {topic}; use the app's own certificate"
    return None


def end_of_life(credential: Credential, now: float) -> str | None:
    """What is wrong with a credential whose life is over, None when it lives; `now` in epoch seconds (CERT-12)."""
    if not isinstance(credential, Certificate):
        return None
    if not credential.expired(datetime.datetime.fromtimestamp(now, datetime.UTC)):
        return None
    return f"certificate: expired on {credential.not_after:%Y-%m-%d}; renew it in the developer portal"


def check_push(credential: Credential, topic: str, push_type: str) -> None:
    """Refuse what this credential cannot send. Raises `InvalidNotification`."""
    if isinstance(credential, Certificate):
        if push_type == PushType.LOCATION:
            raise InvalidNotification(
                "push_type", "a certificate cannot send location pushes", "use a signing key (.p8) (CERT-4)"
            )
        if not _certificate_covers(credential, topic):
            problem = f"{topic} is not among those of the certificate ({_list(credential.topics)})"
            raise InvalidNotification("topic", problem, "use a certificate that lists it, or a signing key (CERT-4)")
    elif credential.topics is not None and not _covers(credential.topics, topic):
        problem = f"{topic} is not among those of the key {credential.key_id} ({_list(credential.topics)})"
        raise InvalidNotification("topic", problem, "use a key for this topic (TOK-15)")


def missing_topic(credential: Credential) -> InvalidNotification:
    """The error of a push without a topic."""
    problem = "missing"
    if isinstance(credential, Certificate):
        problem = f"missing, and the certificate is for several ({_list(credential.topics)}) (CERT-6)"
    return InvalidNotification("topic", problem, "give the client or the notification the app's bundle id")


def _certificate_covers(certificate: Certificate, topic: str) -> bool:
    if topic in certificate.topics:
        return True
    if topic.endswith(".voip"):
        return certificate.voip and _base(topic) in certificate.topics
    return not topic.endswith(_LISTED_BY_NAME) and _base(topic) in certificate.topics


def _covers(topics: Collection[str], topic: str) -> bool:
    return topic in topics or _base(topic) in topics


def _related(topics: Collection[str], topic: str) -> bool:
    """Whether some push type's topic for this bundle id may be covered."""
    return _base(topic) in {_base(one) for one in topics}


def _base(topic: str) -> str:
    """The bundle id of a topic."""
    for suffix in _SUFFIXES:
        if topic.endswith(suffix):
            return topic.removesuffix(suffix)
    return topic


def _list(topics: Collection[str]) -> str:
    """The topics for people: a few of them."""
    shown = ", ".join(sorted(topics)[:_SHOWN])
    return shown if len(topics) <= _SHOWN else f"{shown} and {len(topics) - _SHOWN} more"
