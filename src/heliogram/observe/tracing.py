"""Traces: from a request over its acceptance to each chunk that is sent, and APNs' answers to it.

There is a span for a chunk and one for each batch of pushes given to the engine, none for each push: a campaign would
make millions. A chunk's span belongs to the trace of the request that accepted it as long as this process remembers
that; else it begins a trace of its own. Every span has the operation's id. Needs the extra `heliogram[otel]`.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter
from opentelemetry.trace import Span, SpanContext, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .. import __version__
from ..domain import ids
from ..domain.apps import OpenedCredential
from ..domain.notifications import Outcome
from ..domain.operations import NewChunk, Operation
from ..lines import operation_id
from ..ports import Hold, LeasedChunk, Provider, Push, PushResult, WorkQueue
from .tally import word_of

REMEMBERED = 10_000
"""Operations whose traces are remembered, the newest."""
CLOSE_MS = 2_000
"""How long the end of a process waits for the last spans to be taken."""
OPERATION = "heliogram.operation.id"
_WELL = frozenset({Outcome.ACCEPTED})
_PLAIN = ("/health", "/docs", "/openapi.json", "/dashboard")


def exporter_of(name: str) -> SpanExporter | None:
    """`otlp` (over HTTP) or `console`; None for what there is not."""
    if name == "otlp":
        return OTLPSpanExporter()
    return ConsoleSpanExporter() if name == "console" else None


class Tracing:
    """Makes spans, and remembers to which trace an operation belongs."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("heliogram", __version__)
        self._known: OrderedDict[bytes, SpanContext] = OrderedDict()
        self._format = TraceContextTextMapPropagator()

    @classmethod
    def to(cls, exporter: SpanExporter, environ: Mapping[str, str]) -> Tracing:
        """Gives spans to an exporter, in batches and in a thread; how many and how is OpenTelemetry's to say, by its
        own variables."""
        named = "OTEL_SERVICE_NAME" in environ or "service.name" in environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
        about = {"service.version": __version__} | ({} if named else {"service.name": "heliogram"})
        provider = TracerProvider(resource=Resource.create(about))
        provider.add_span_processor(BatchSpanProcessor(exporter))
        return cls(provider)

    def __repr__(self) -> str:
        return f"Tracing(operations={len(self._known)})"

    async def close(self) -> None:
        """Gives away what there is, for at most 2 s."""
        await asyncio.to_thread(self._provider.force_flush, CLOSE_MS)
        await asyncio.to_thread(self._provider.shutdown)

    # ---- requests

    def app(self, app: ASGIApp) -> ASGIApp:
        """The application with a span for each request to the API; `traceparent` is taken over."""

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or scope["path"].startswith(_PLAIN):
                await app(scope, receive, send)
                return
            with self._request(scope) as span:
                await app(scope, receive, _telling(span, send))
                span.update_name(f"{scope['method']} {_route(scope)}")
                span.set_attribute("http.route", _route(scope))

        return serve

    @contextmanager
    def _request(self, scope: Scope) -> Iterator[Span]:
        names = {"traceparent", "tracestate"}
        given = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        carrier = {name: value for name, value in given.items() if name in names}
        about = {"http.request.method": scope["method"], "url.path": scope["path"][:256]}
        parent = self._format.extract(carrier, context=Context())
        with self._tracer.start_as_current_span(scope["method"], parent, SpanKind.SERVER, about) as span:
            yield span

    # ---- acceptance

    def accepting(self, queue: WorkQueue) -> WorkQueue:
        """The queue as the API has it: what makes an operation durable has a span."""
        return _Accepting(queue, self)

    @contextmanager
    def accept(self, operation: Operation) -> Iterator[None]:
        """Around the making durable of an operation."""
        about: dict[str, str | int] = {
            OPERATION: operation_id(operation.id),
            "heliogram.recipients": operation.recipients,
        }
        with self._tracer.start_as_current_span("accept", attributes=about) as span:
            self._known[operation.id] = span.get_span_context()
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
            yield

    # ---- sending

    @contextmanager
    def chunk(self, chunk: LeasedChunk) -> Iterator[None]:
        """Around an attempt at a chunk."""
        known = self._known.get(chunk.operation_id)
        parent = Context()
        if known is not None:
            parent = trace.set_span_in_context(trace.NonRecordingSpan(known), parent)
        about: dict[str, str | int] = {
            OPERATION: operation_id(chunk.operation_id),
            "heliogram.app": chunk.spec.app_name,
            "heliogram.lane": chunk.lane.name.lower(),
            "heliogram.chunk.first": chunk.first,
            "heliogram.chunk.attempt": chunk.attempt,
            "heliogram.recipients": len(chunk.recipients),
        }
        with self._tracer.start_as_current_span("send chunk", parent, attributes=about):
            yield

    def provider(self, provider: Provider) -> Provider:
        """The provider with a span for each batch of pushes."""
        traced: Any = _Traced(provider, self)
        sends: Provider = traced
        return sends

    @contextmanager
    def pushes(self, credential: OpenedCredential, pushes: Sequence[Push]) -> Iterator[Callable[[PushResult], object]]:
        """Around a batch; what it yields is to be told of each result. Of a single push the span says all."""
        about: dict[str, str | int] = {
            "heliogram.pushes": len(pushes),
            "heliogram.credential": ids.encode(ids.CREDENTIAL, credential.credential.id),
        }
        # Not made the current one: what is between here and the end of a generator may run in any context.
        span = self._tracer.start_span("apns", kind=SpanKind.CLIENT, attributes=about)
        ended: Counter[str] = Counter()

        def tell(result: PushResult) -> None:
            well = result.outcome in _WELL
            ended[result.outcome.name.lower() if well else word_of(result.outcome, result.reason)] += 1
            if len(pushes) == 1:
                span.set_attribute("apns.id", pushes[0].apns_id)
                span.set_attribute("http.response.status_code", result.status)

        try:
            yield tell
        finally:
            accepted = ended.pop("accepted", 0)
            span.set_attribute("heliogram.accepted", accepted)
            for reason, count in ended.items():
                span.set_attribute(f"heliogram.refused.{reason}", count)
            if ended and not accepted:
                span.set_status(StatusCode.ERROR, next(iter(ended)))
            span.end()


def _route(scope: Scope) -> str:
    """The path with the names of its parameters in place of their values."""
    values = {str(value): name for name, value in scope.get("path_params", {}).items()}
    if "path_params" not in scope:
        return "other"
    return "/".join(f"{{{values[part]}}}" if part in values else part for part in scope["path"].split("/"))


def _telling(span: Span, send: Send) -> Send:
    """Notes the answer's status, and the operation it points at."""

    async def told(message: Message) -> None:
        if message["type"] == "http.response.start":
            span.set_attribute("http.response.status_code", message["status"])
            if message["status"] >= 500:
                span.set_status(StatusCode.ERROR)
            for name, value in message.get("headers", ()):
                if name in (b"operation-id", b"x-request-id"):
                    key = OPERATION if name == b"operation-id" else "heliogram.request.id"
                    span.set_attribute(key, value.decode("latin-1"))
        await send(message)

    return told


class _Wrapped:
    """Another object, but for what a subclass does otherwise."""

    def __init__(self, inner: Any, tracing: Tracing) -> None:
        self._inner, self._tracing = inner, tracing

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def __repr__(self) -> str:
        return repr(self._inner)


class _Traced(_Wrapped):
    async def send(
        self,
        credential: OpenedCredential,
        pushes: Sequence[Push],
        *,
        stop: asyncio.Future[None] | None = None,
        fresh: bool = False,
    ) -> AsyncGenerator[list[PushResult], None]:
        with self._tracing.pushes(credential, pushes) as tell:
            async with aclosing(self._inner.send(credential, pushes, stop=stop, fresh=fresh)) as found:
                async for results in found:
                    for result in results:
                        tell(result)
                    yield results

    async def send_one(
        self,
        credential: OpenedCredential,
        push: Push,
        *,
        stop: asyncio.Future[None] | None = None,
        fresh: bool = False,
    ) -> PushResult | None:
        with self._tracing.pushes(credential, [push]) as tell:
            result: PushResult | None = await self._inner.send_one(credential, push, stop=stop, fresh=fresh)
            if result is not None:
                tell(result)
        return result


class _Accepting(_Wrapped):
    async def put(
        self,
        operation: Operation,
        chunks: Sequence[NewChunk],
        accept: Callable[[Hold | None], Awaitable[None]],
        *,
        shard: int = 0,
    ) -> None:
        async def accepted(hold: Hold | None) -> None:
            with self._tracing.accept(operation):
                await accept(hold)

        await self._inner.put(operation, chunks, accepted, shard=shard)
