"""From one complete request to its answer: judge, deliver, write down (rule book, 4.6)."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence

from .alike import Alike
from .answer import Answer
from .broadcasting import Broadcasting
from .channels import Channels
from .clientcerts import ClientCertificates
from .conduct import Conduct
from .device import DeviceToken
from .faults import Faults
from .feed import Feed
from .floors import Floors
from .journal import Entry, Journal
from .keys import KeyRing
from .lint_broadcast import BROADCAST_PATH
from .lockscreen import Arrival
from .managing import Management
from .parts import Part, Parts
from .portal import Portal
from .registry import Registry
from .rules import DEVICE_PATH, Push, is_apns_id, judge
from .scenario_parts import ChannelScenario, DeviceScenario, KeyScenario
from .session import Session
from .tables import STATUS, Environment, Settings
from .timing import Time
from .violations import Violations

Headers = Sequence[tuple[bytes, bytes]]

_PREFIX = len(DEVICE_PATH)


class Apns:
    """The service behind the listeners: keys, devices and the journal, and nothing of sockets."""

    def __init__(
        self,
        *,
        settings: Settings | None = None,
        clock: Callable[[], float] = time.time,
        rng: random.Random | None = None,
    ) -> None:
        self.settings = settings or Settings()
        self.feed = Feed()
        self.time = Time(clock, self.feed)
        self.clock = self.time.clock
        self.agenda = self.time.agenda
        self.schedule = self.agenda.at
        self.random = rng or random.SystemRandom()
        self.keys = KeyRing(self.random.choice)
        self.portal = Portal(
            keys=self.keys,
            certificates=ClientCertificates(
                clock=self.clock,
                feed=self.feed,
                refusal=self.settings.certificate_refusal,
                live_activities=self.settings.certificate_live_activities,
            ),
            feed=self.feed,
            choose=self.random.choice,
            strict=self.settings.strict_portal,
        )
        self.registry = Registry(
            clock=self.clock, rng=self.random, settings=self.settings, feed=self.feed, agenda=self.agenda
        )
        self.violations = Violations(self.settings.violations, self.clock, self.feed)
        self.journal = Journal(self.settings.journal, self.feed, self.violations.by_request)
        self.conduct = Conduct(self.violations, self.journal, self.settings, self.clock)
        self.floors = Floors(self.settings.token_floor, self.settings.token_changes)
        self.channels = Channels(
            registry=self.registry,
            settings=self.settings,
            agenda=self.agenda,
            feed=self.feed,
            clock=self.clock,
            rng=self.random,
        )
        self.registry.followers = self.channels
        self.channels.listeners = self.registry.activities.subscribers
        self.channels.reachable = lambda device: device.connected
        self.faults = faults = Faults(self)
        self.channels.enabled = self.portal.broadcasts
        self.portal.broadcast_off = self.channels.switch_off
        self.registry.portal = self.portal.registration_error
        self.answer_management = Management(self).answer
        self._answer_broadcast = faults.around(Broadcasting(self).answer)
        self.parts = Parts()
        self._register()
        # Ids name requests and guard nothing: a fast generator seeded from the given one will do.
        self._ids = random.Random(self.random.getrandbits(64))
        self._bodies = {reason: b'{"reason":"%b"}' % reason.encode() for reason in STATUS}
        typed = ((b"content-type", b"application/json"),)
        self._error_headers = typed if self.settings.error_content_type else ()

    def __repr__(self) -> str:
        return f"<Apns {self.keys!r} {self.registry!r} {self.journal!r}>"

    def _register(self) -> None:
        """What a scenario is made of, in the order of its import, and what else a reset clears."""
        moved, faults = self.time, self.faults
        self.parts.add(Part(name="clock", clear=moved.clear, export=moved.export, import_=moved.import_))
        portal = self.portal
        self.parts.add(Part(name="portal", clear=portal.clear, export=portal.export, import_=portal.import_))
        self.parts.add(Part(name="certificates", clear=portal.certificates.clear))
        keys, devices = KeyScenario(self.keys), DeviceScenario(self.registry, self.agenda)
        channels = ChannelScenario(self.channels)
        self.parts.add(Part(name="keys", clear=self.keys.clear, export=keys.export, import_=keys.import_))
        self.parts.add(Part(name="devices", clear=self.registry.clear, export=devices.export, import_=devices.import_))
        self.parts.add(
            Part(name="channels", clear=self.channels.clear, export=channels.export, import_=channels.import_)
        )
        self.parts.add(Part(name="faults", clear=faults.clear, export=faults.export, import_=faults.import_))
        self.parts.add(Part(name="journal", clear=self.journal.clear))
        self.parts.add(Part(name="violations", clear=self.violations.clear))
        self.parts.add(Part(name="conduct", clear=self.conduct.clear))
        self.parts.add(Part(name="floors", clear=self.floors.clear))

    def blank(self) -> Apns:
        """An empty world with the same settings and source of time."""
        return Apns(settings=self.settings, clock=self.clock.source, rng=random.Random(0))

    def open_session(self, source: str = "") -> Session:
        """Authentication state for a new connection; ``source`` is the client's address."""
        self.journal.connections += 1
        number = self.journal.connections
        watch = self.conduct.open(number, source)
        return Session(number, self.keys, self.floors.open(source), self.portal, watch)

    def answer(self, session: Session, environment: Environment, headers: Headers, body: bytes, size: int) -> Answer:
        """Answer a request on a push listener; an accepted push is on its device when this returns."""
        now = self.clock()
        if self.agenda.due <= now:
            self.agenda.run(now)
        alike = session.alike
        if alike is not None and not self.faults.active and not self.conduct.waiting:
            found = alike.find(headers, body, size, now)
            if found is not None:
                path, given, record = found
                apns_id = self.made_id() if given is None else given
                if record is None:
                    return self._reject_alike(session, environment, alike, path, apns_id, headers, body, now)
                if given is not None:
                    session.watch.uses(given)
                return self._accept_alike(session, environment, alike, path, apns_id, record, headers, body, now)
        session.alike = None
        push = Push(
            headers,
            body,
            size,
            environment=environment,
            session=session,
            registry=self.registry,
            settings=self.settings,
            now=now,
        )
        reason = judge(push)
        if reason is not None and push.path.startswith(BROADCAST_PATH):
            return self._answer_broadcast(session, environment, headers, body, size)
        given = push.fields.get(b"apns-id")
        # A malformed id is not echoed: such a request gets a made one, like a request without any.
        apns_id = given if given is not None and (reason is None or is_apns_id(given)) else self.made_id()
        if self.conduct.waiting:
            self.conduct.retried(push)
        if self.faults.active or b'"simulator"' in body:
            fault = self.faults.for_request(push, reason)
            if fault is not None:
                return self.faults.met(push, apns_id, reason, fault)
        if reason is None and given is not None:
            session.watch.uses(given)
        if reason is None or reason == "BadDeviceToken":  # the rest is good
            if session.latest == push.steady:  # the second like this: there may be more
                session.alike = Alike.of(push)
            session.latest = push.steady
        return self.conclude(push, apns_id, reason)

    def conclude(self, push: Push, apns_id: bytes, reason: str | None) -> Answer:
        """Deliver or refuse a push that was judged."""
        return self._accept(push, apns_id) if reason is None else self._reject(push, apns_id, reason)

    def error(self, reason: str, identity: tuple[bytes, bytes]) -> Answer:
        """An error with its status, the header field that names the request, and ``reason`` in its body (RESP-2)."""
        return Answer(STATUS[reason], (identity, *self._error_headers), self._bodies[reason])

    def spelled(self, reason: str) -> str:
        """The reason as the settings want it written (TOK-17)."""
        if reason == "BadEnvironmentKeyInToken" and self.settings.documented_spelling:
            return "BadEnvironmentKeyIdInToken"
        return reason

    def _accept(self, push: Push, apns_id: bytes) -> Answer:
        fields, record = push.fields, push.record
        unique_id = self.made_id().lower() if push.environment == "sandbox" else None
        record.receive(
            Arrival(
                apns_id,
                unique_id,
                push.topic,
                push.push_type,
                fields.get(b"apns-priority"),
                fields.get(b"apns-collapse-id"),
                push.body,
                push.now,
                None,
                fields.get(b"apns-expiration"),
            )
        )
        self.note(push, apns_id, 200, None, record.device.id)
        return _accepted(apns_id, unique_id)

    def _accept_alike(
        self,
        session: Session,
        environment: Environment,
        alike: Alike,
        path: bytes,
        apns_id: bytes,
        record: DeviceToken,
        headers: Headers,
        body: bytes,
        now: float,
    ) -> Answer:
        """The same for a push that is like the one before it."""
        unique_id = self.made_id().lower() if environment == "sandbox" else None
        record.receive(
            Arrival(
                apns_id,
                unique_id,
                alike.topic,
                alike.push_type,
                alike.priority,
                alike.collapse_id,
                body,
                now,
                None,
                alike.expiration,
            )
        )
        self._note_alike(session, environment, alike, path, apns_id, 200, None, record.device.id, headers, body, now)
        return _accepted(apns_id, unique_id)

    def _reject_alike(
        self,
        session: Session,
        environment: Environment,
        alike: Alike,
        path: bytes,
        apns_id: bytes,
        headers: Headers,
        body: bytes,
        now: float,
    ) -> Answer:
        """Refuse a push that is like the one before it, for a token that was never issued (REQ-6)."""
        reason = "BadDeviceToken"
        key = (environment, path[_PREFIX:].lower(), alike.topic)
        self.conduct.again(session.watch, key, apns_id, reason, now)
        self._note_alike(session, environment, alike, path, apns_id, 400, reason, None, headers, body, now)
        return self.error(reason, (b"apns-id", apns_id))

    def _note_alike(
        self,
        session: Session,
        environment: Environment,
        alike: Alike,
        path: bytes,
        apns_id: bytes,
        status: int,
        reason: str | None,
        device: str | None,
        headers: Headers,
        body: bytes,
        now: float,
    ) -> None:
        """Write down how a push that is like the one before it was answered."""
        self.journal.add(
            Entry(
                now,
                session.number,
                environment,
                b"POST",
                path,
                alike.topic,
                alike.push_type,
                apns_id,
                status,
                reason,
                device,
                headers,
                body,
                len(body),
            )
        )

    def _reject(self, push: Push, apns_id: bytes, reason: str) -> Answer:
        reason = self.spelled(reason)
        status = STATUS[reason]
        device: str | None = None
        body = self._bodies[reason]
        if status == 410:
            device = push.record.device.id
            body = b'{"reason":"%b","timestamp":%d}' % (reason.encode(), push.record.ended_at)
        self.note(push, apns_id, status, reason, device)
        return Answer(status, ((b"apns-id", apns_id), *self._error_headers), body)

    def note(self, push: Push, apns_id: bytes, status: int, reason: str | None, device: str | None) -> None:
        """Write down how a push was answered."""
        if status != 200:
            self.conduct.refused(push, apns_id, status, reason)
        self.journal.add(
            Entry(
                push.now,
                push.session.number,
                push.environment,
                push.method,
                push.path,
                push.topic or None,
                push.push_type,
                apns_id,
                status,
                reason,
                device,
                push.headers,
                push.body,
                push.size,
            )
        )

    def made_id(self) -> bytes:
        """128 random bits as a UUID's text in upper case, without version bits (RESP-3)."""
        digits = b"%032X" % self._ids.getrandbits(128)
        return b"%b-%b-%b-%b-%b" % (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])


def _accepted(apns_id: bytes, unique_id: bytes | None) -> Answer:
    if unique_id is None:
        return Answer(200, ((b"apns-id", apns_id),), b"")
    return Answer(200, ((b"apns-id", apns_id), (b"apns-unique-id", unique_id)), b"")
