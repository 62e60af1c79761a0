"""The faults that are set, and which of them meets a request or a new connection."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from .answer import Answer, Disturbed
from .errors import Conflict, Invalid, Missing
from .faultspec import ALERTS, OPENING, STATUS_OF, Fault, FaultSpec, check, given
from .parts import taken_as

if TYPE_CHECKING:
    from .answering import Apns
    from .rules import Push
    from .session import Session
    from .tables import Environment

MOST = 1000
"""Faults that can be set at once."""

Headers = Sequence[tuple[bytes, bytes]]
Answerer = Callable[["Session", "Environment", Headers, bytes, int], Answer]
_KEY = b'"simulator"'


class Faults:
    """What is to go wrong. The first that fits meets a request, in the order they were set.

    ``active``: whether a fault for requests is set; ``opening``: whether one for new connections is. Nobody need ask
    anything else while these are False.
    """

    def __init__(self, apns: Apns) -> None:
        self.active = False
        self.opening = False
        self._apns = apns
        self._faults: dict[int, Fault] = {}
        self._watchers: list[Callable[[], None]] = []
        self._last = 0
        self._own_random: random.Random | None = None

    def __repr__(self) -> str:
        return f"<Faults set={len(self._faults)} active={self.active} opening={self.opening}>"

    @property
    def random(self) -> random.Random:
        """Chance, from the simulator's seed; made when it is first needed."""
        if self._own_random is None:
            self._own_random = random.Random(self._apns.random.getrandbits(64))
        return self._own_random

    # ---- setting them

    def add(self, spec: FaultSpec | None = None, /, **members: Any) -> Fault:
        """Set a fault, given as a `FaultSpec` or by its members: ``add(kind="status", status=503, next=3)``.

        Raises Invalid naming the field, Conflict past 1,000.
        """
        if spec is None:
            try:
                spec = msgspec.convert(
                    {_camel(name): value for name, value in members.items() if value is not None}, FaultSpec
                )
            except msgspec.ValidationError as error:
                raise Invalid(str(error), field=str(error).rpartition("$.")[2].rstrip("`") or None) from error
        kind = check(spec)
        if spec.device is not None:
            self._apns.registry.device(spec.device)
        if len(self._faults) >= MOST:
            raise Conflict(f"there are {MOST} faults already; DELETE /faults takes them away")
        self._last += 1
        until = spec.until if spec.seconds is None else self._apns.clock() + spec.seconds
        fault = Fault(id=self._last, kind=kind, spec=spec, until=until, left=spec.next)
        self._faults[fault.id] = fault
        if until is not None:
            self._apns.schedule(until, lambda: self._end(fault))
        self._changed("added", fault)
        return fault

    def get(self, fault_id: int) -> Fault:
        """Raises Missing."""
        try:
            return self._faults[fault_id]
        except KeyError:
            raise Missing(f"there is no fault {fault_id}; GET /faults lists them", field="id") from None

    def all(self) -> list[Fault]:
        """The faults that are set, in order."""
        self._apns.agenda.look()
        return list(self._faults.values())

    def remove(self, fault_id: int) -> None:
        """Take a fault away; what it did to connections stays done. Raises Missing."""
        self._end(self.get(fault_id))

    def clear(self) -> None:
        """Take all faults away."""
        for fault in list(self._faults.values()):
            self._end(fault)

    def export(self) -> list[dict[str, Any]]:
        """The faults as JSON values, for a scenario."""
        kept = []
        for fault in self.all():
            members = given(fault.spec) | {"kind": fault.kind}
            members.pop("seconds", None)
            if fault.until is not None:
                members["until"] = fault.until
            if fault.left is not None:
                members["next"] = fault.left
            kept.append(members)
        return kept

    def import_(self, value: object) -> None:
        """Set what `export` gave. Raises Invalid."""
        for spec in taken_as(value, list[FaultSpec], "faults"):
            self.add(spec)

    def watch(self, changed: Callable[[], None]) -> None:
        """Call ``changed`` whenever faults come or go."""
        self._watchers.append(changed)

    def unwatch(self, changed: Callable[[], None]) -> None:
        if changed in self._watchers:
            self._watchers.remove(changed)

    # ---- meeting them

    def for_opening(self, listener: str) -> bytes | None:
        """What a new connection there gets in place of TLS: an alert record, b"" for the mere end, None: TLS."""
        for fault in self._faults.values():
            if fault.kind in ("tls", "drop") and fault.spec.listener in (None, listener) and self._chance(fault):
                self._hit(fault)
                if fault.kind == "drop":
                    return b""
                return b"\x15\x03\x03\x00\x02\x02%c" % ALERTS[fault.spec.alert or "handshake_failure"]
        return None

    def refuses(self, listener: str) -> bool:
        """Whether new connections there are refused by TCP."""
        return self.opening and any(
            fault.kind == "refuse" and fault.spec.listener in (None, listener) for fault in self._faults.values()
        )

    def for_request(self, push: Push, reason: str | None) -> Fault | None:
        """The fault that meets a push which was judged ``reason``; None accepted. One in its payload goes first."""
        record = getattr(push, "record", None)
        device = None if record is None else record.device.id
        return self._choose(push.environment, push.session.number, push.token, device, reason, push.body)

    def around(self, inner: Answerer, listener: str | None = None) -> Answerer:
        """An answerer with faults in front of it; ``listener`` None: the environment's."""

        def answer(session: Session, environment: Environment, headers: Headers, body: bytes, size: int) -> Answer:
            if self.active or _KEY in body:
                fault = self._choose(listener or environment, session.number, b"", None, None, body)
                if fault is not None:
                    return self.applied(fault, None, lambda: inner(session, environment, headers, body, size))
            return inner(session, environment, headers, body, size)

        return answer

    def met(self, push: Push, apns_id: bytes, reason: str | None, fault: Fault) -> Answer:
        """The answer to a push that was judged ``reason`` and meets a fault."""

        def note(status: int, said: str | None) -> None:
            self._apns.note(push, apns_id, status, said, None)

        return self.applied(fault, apns_id, lambda: self._apns.conclude(push, apns_id, reason), note)

    def applied(
        self, fault: Fault, apns_id: bytes | None, go_on: Callable[[], Answer], note: Callable[..., None] | None = None
    ) -> Answer:
        """The answer of a request that a fault meets; ``go_on`` carries the request out.

        ``note`` writes down status and reason of one that is not carried out.
        """
        if fault.kind == "status":
            answer = self._status(fault, apns_id)
            said: str | None = fault.spec.reason or (None if answer.status == 200 else f"fault {fault.id}")
        elif fault.kind == "wedge" and not _waits_for_expiry(fault):
            answer, said = wedged(apns_id), "InternalServerError"
        elif fault.processed:
            answer = go_on()
            return Disturbed(answer.status, answer.headers, answer.body, fault)
        else:
            answer, said = Answer(0, (), b""), fault.kind
        if note is not None:
            note(answer.status, said)
        return Disturbed(answer.status, answer.headers, answer.body, fault)

    # ---- inside

    def _choose(
        self, listener: str, connection: int, token: bytes, device: str | None, reason: str | None, body: bytes
    ) -> Fault | None:
        if _KEY in body and reason is None:
            fault = in_payload(body)
            if fault is not None:
                return fault
        for fault in self._faults.values():
            spec = fault.spec
            if (
                fault.kind not in OPENING
                and spec.listener in (None, listener)
                and spec.connection in (None, connection)
                and spec.device in (None, device)
                and (spec.token is None or spec.token.lower().encode() == token.lower())
                and (fault.kind != "status" or reason is None)
                and (not _waits_for_expiry(fault) or reason == "ExpiredProviderToken")
                and self._chance(fault)
            ):
                self._hit(fault)
                return fault
        return None

    def _chance(self, fault: Fault) -> bool:
        share = fault.spec.share
        return share is None or self.random.random() < share

    def _hit(self, fault: Fault) -> None:
        fault.hits += 1
        if fault.left is not None:
            fault.left -= 1
            if not fault.left:
                self._end(fault)
        if self._apns.feed.live:
            self._apns.feed.publish("fault", {"event": "hit", "id": fault.id, "kind": fault.kind, "hits": fault.hits})

    def _status(self, fault: Fault, apns_id: bytes | None) -> Answer:
        spec = fault.spec
        headers = list(_named(apns_id))
        if spec.retry_after is not None:
            headers.append((b"retry-after", spec.retry_after.encode()))
        body = b"" if spec.body is None else spec.body.encode()
        if spec.reason is not None:
            body = reason_json(spec.reason, spec.timestamp)
        return Answer(spec.status or STATUS_OF[spec.reason or ""], tuple(headers), body)

    def _end(self, fault: Fault) -> None:
        if self._faults.pop(fault.id, None) is not None:
            self._changed("removed", fault)

    def _changed(self, event: str, fault: Fault) -> None:
        kinds = {one.kind for one in self._faults.values()}
        self.active = not kinds <= OPENING
        self.opening = not kinds.isdisjoint(OPENING)
        if fault.kind == "refuse":
            for changed in list(self._watchers):
                changed()
        if self._apns.feed.live:
            self._apns.feed.publish("fault", {"event": event, "id": fault.id, "kind": fault.kind, "hits": fault.hits})


def in_payload(body: bytes) -> Fault | None:
    """The fault in a payload's top-level key ``simulator``; one that makes no sense is a 400 that says why."""
    try:
        document = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return None
    if not isinstance(document, dict) or "simulator" not in document:
        return None
    try:
        spec = msgspec.convert(document["simulator"], FaultSpec)
        kind = check(spec)
        scoped = sorted(set(given(spec)) & {"token", "device", "connection", "listener", "next", "seconds", "until"})
        if kind in OPENING or scoped:
            field = scoped[0] if scoped else "kind"
            raise Invalid(f"{field} has no meaning in a payload; POST /faults takes it", field=field)
    except (msgspec.ValidationError, Invalid) as error:
        said = {"reason": "InvalidSimulatorKey", "detail": str(error)}
        spec = FaultSpec(kind="status", status=400, body=msgspec.json.encode(said).decode())
        kind = "status"
    return Fault(id=0, kind=kind, spec=spec, until=None, left=None)


def wedged(apns_id: bytes | None) -> Answer:
    """What a connection answers for ever once it is wedged (TOK-22, SUR-5)."""
    return Answer(500, _named(apns_id), b'{"reason":"InternalServerError"}')


def reason_json(reason: str, timestamp: int | None = None) -> bytes:
    """A reason as the body of an answer or the debug data of a GOAWAY: compact, without blanks (CONN-20)."""
    said: dict[str, str | int] = {"reason": reason}
    if timestamp is not None:
        said["timestamp"] = timestamp
    return msgspec.json.encode(said)


def _waits_for_expiry(fault: Fault) -> bool:
    return fault.kind == "wedge" and fault.spec.after_expiry is not False


def _named(apns_id: bytes | None) -> tuple[tuple[bytes, bytes], ...]:
    return () if apns_id is None else ((b"apns-id", apns_id),)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)
