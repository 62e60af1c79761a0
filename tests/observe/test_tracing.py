"""Traces: which spans there are, how they hang together, and that they arrive at a collector."""

from __future__ import annotations

import http.server
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from structlog.testing import capture_logs
from support.apns_server import ApnsServer
from support.service import TOKEN, Service, client_of, serving
from support.stack import BackEnd, Phones, service, simulator
from support.tls import Authority
from support.waiting import eventually

from heliogram import api
from heliogram.delivery.breaker import Breakers
from heliogram.delivery.providers.apns import ApnsEndpoints, ApnsProvider
from heliogram.delivery.sender import SLOTS, Sender
from heliogram.domain.apps import ProviderName
from heliogram.domain.operations import Lane
from heliogram.observe.otel import is_wanted, tracing_of
from heliogram.observe.tracing import OPERATION, REMEMBERED, Tracing

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"


class Traced:
    """A service in process whose spans are kept in memory, and its workers."""

    def __init__(self, service: Service, apns: ApnsServer) -> None:
        self.service, self.apns = service, apns
        self._kept = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._kept))
        self.tracing = Tracing(provider)
        state = replace(service.state, queue=self.tracing.accepting(service.state.queue))
        app: Any = self.tracing.app(api.build(state))
        self.client = client_of(app, dict(service.client.headers))
        carrier = self.tracing.provider(service.state.providers[ProviderName.APN])
        self.sender = Sender(
            service.store,
            service.queue,
            {ProviderName.APN: carrier},
            service.state.sealer,
            service.clock,
            breakers=Breakers(),
            slots={Lane.TX: SLOTS[Lane.TX]},
            around=self.tracing.chunk,
        )

    def spans(self) -> dict[str, ReadableSpan]:
        """The latest span of each name."""
        return {span.name: span for span in self._kept.get_finished_spans()}

    async def send(self, **headers: str) -> str:
        """A send to one token; the operation's id."""
        body = {
            "from": {"appName": "shop"},
            "to": [{"token": TOKEN, "provider": "APN"}],
            "content": {"body": "hi"},
        }
        answer = await self.client.post("/v1/PushNotifications", json=body, headers=headers)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["operationId"])

    async def completed(self, operation: str) -> None:
        """Returns when all of it ended, and the workers, too."""
        path = f"/v1/PushNotifications/Operations/{operation}"
        while (await self.client.get(path)).json()["status"] != "COMPLETED":
            pass  # asking the store lets the others go on
        await self.sender.drain(60)


@asynccontextmanager
async def traced(directory: Path) -> AsyncIterator[Traced]:
    """Such a service, with an app, and an APNs that accepts everything."""
    authority = Authority(directory)
    async with ApnsServer(authority.server_context()) as apns:
        apns.on_request = lambda peer, request: peer.accept(request)
        endpoints = ApnsEndpoints(production=apns.endpoint, sandbox=apns.endpoint, cafile=authority.cafile)
        async with serving(directory, provider=ApnsProvider(endpoints)) as made:
            await made.app_named("shop")
            yield Traced(made, apns)


@pytest.fixture
async def place(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Traced]:
    async with traced(tmp_path) as made:
        yield made


@pytest.mark.anyio
async def test_a_request_and_its_acceptance_are_in_the_callers_trace(place: Traced) -> None:
    """`traceparent` is taken over; the span of the request has route, status and operation."""
    operation = await place.send(traceparent=TRACEPARENT)
    spans = place.spans()
    request, accept = spans["POST /v1/PushNotifications"], spans["accept"]
    assert request.parent is not None
    assert accept.parent is not None
    assert f"{request.parent.span_id:016x}" == PARENT
    assert accept.parent.span_id == request.context.span_id
    assert {f"{span.context.trace_id:032x}" for span in (request, accept)} == {TRACE}
    for span in (request, accept):
        assert span.attributes is not None
        assert span.attributes[OPERATION] == operation
    assert request.attributes is not None
    assert request.attributes["http.response.status_code"] == 202


@pytest.mark.anyio
async def test_paths_with_ids_are_one_route(place: Traced) -> None:
    """Names of spans are few, whatever ids there are; what is nowhere is "other"."""
    operation = await place.send()
    await place.client.get(f"/v1/PushNotifications/Operations/{operation}")
    await place.client.get("/v1/Nothing")
    await place.client.get("/health")
    assert {"GET /v1/PushNotifications/Operations/{operationId}", "GET other"} <= set(place.spans())
    assert not any("health" in name for name in place.spans())


@pytest.mark.anyio
async def test_a_broken_traceparent_begins_a_trace(place: Traced) -> None:
    """Whatever it says; the request itself is answered."""
    await place.send(traceparent="00-nonsense")
    assert place.spans()["POST /v1/PushNotifications"].parent is None


@pytest.mark.anyio
async def test_a_chunk_belongs_to_the_trace_of_its_request(place: Traced) -> None:
    """Though a worker takes it later; what the engine was given is a span below it, and says how that went."""
    place.sender.start()
    operation = await place.send(traceparent=TRACEPARENT)
    await place.completed(operation)
    spans = place.spans()
    accept, chunk, apns = spans["accept"], spans["send chunk"], spans["apns"]
    assert chunk.parent is not None
    assert apns.parent is not None
    assert chunk.parent.span_id == accept.context.span_id
    assert apns.parent.span_id == chunk.context.span_id
    assert f"{apns.context.trace_id:032x}" == TRACE
    assert chunk.attributes is not None
    assert chunk.attributes[OPERATION] == operation
    assert apns.attributes is not None
    assert apns.attributes["heliogram.pushes"] == 1
    assert apns.attributes["heliogram.accepted"] == 1
    assert apns.attributes["http.response.status_code"] == 200
    assert apns.status.status_code is not StatusCode.ERROR
    assert TOKEN not in "".join(span.to_json() for span in spans.values())


@pytest.mark.anyio
async def test_a_batch_that_nobody_takes_is_an_error_with_its_reason(place: Traced) -> None:
    """By the word that APNs gave."""
    place.apns.on_request = lambda peer, request: peer.reject(request, 400, "BadDeviceToken")
    place.sender.start()
    await place.completed(await place.send())
    apns = place.spans()["apns"]
    assert apns.attributes is not None
    assert apns.attributes["heliogram.refused.BadDeviceToken"] == 1
    assert (apns.status.status_code, apns.status.description) == (StatusCode.ERROR, "BadDeviceToken")


@pytest.mark.anyio
async def test_only_so_many_operations_are_remembered(place: Traced) -> None:
    """At the bound the first is there; one more, and it is not."""
    await place.send()
    tracing, (first,) = place.tracing, place.tracing._known
    for number in range(REMEMBERED - 1):
        tracing._known[number.to_bytes(16, "big")] = tracing._known[first]
    assert first in tracing._known
    await place.send()
    assert len(tracing._known) == REMEMBERED
    assert first not in tracing._known


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://localhost:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "console"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://h:1", "OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://h:1", "OTEL_SDK_DISABLED": "true"}, False),
    ],
)
def test_opentelemetrys_own_variables_switch_it_on(environ: dict[str, str], wanted: bool) -> None:
    """And off."""
    assert is_wanted(environ) is wanted


def test_an_exporter_that_there_is_not_is_told_and_the_service_goes_on() -> None:
    """Without traces."""
    with capture_logs() as lines:
        assert tracing_of({"OTEL_TRACES_EXPORTER": "zipkin"}) is None
    assert [(line["event"], line["exporter"]) for line in lines] == [("traces.off", "zipkin")]


def test_nothing_of_it_is_imported_when_it_is_off() -> None:
    """A service without traces does not pay for them."""
    code = "import heliogram.app, sys; from heliogram.observe.otel import tracing_of; assert tracing_of({}) is None;"
    code += "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class Collector:
    """Takes OTLP over HTTP, as a collector does, on a port of its own."""

    def __init__(self) -> None:
        taken: list[ExportTraceServiceRequest] = []
        self._taken = taken

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert self.path == "/v1/traces"
                assert self.headers.get("Content-Encoding") is None
                taken.append(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
                """Nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Collector:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    def spans(self) -> Iterator[tuple[str, Any]]:
        """The name of the service and each span that arrived."""
        for request in list(self._taken):
            for resource in request.resource_spans:
                names = {each.key: each.value.string_value for each in resource.resource.attributes}
                for scope in resource.scope_spans:
                    for span in scope.spans:
                        yield names["service.name"], span


def test_a_real_service_tells_a_real_collector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the request to APNs' answer, in the caller's trace; a sender process makes traces of its own."""
    with Collector() as collector, simulator(tmp_path) as apns:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        with service(tmp_path, apns.ready, "--senders", "1") as serve:
            phones, backend = Phones(apns), BackEnd(serve.ready["url"], tmp_path / "data")
            backend.credential(phones.key())
            token = phones.phone().launch()
            backend.http.headers["traceparent"] = TRACEPARENT
            small = backend.send({"token": token, "provider": "APN"})
            large = backend.send(*[{"token": token, "provider": "APN"}] * 101)
            for operation in (small, large):
                backend.completed(operation)

            def arrived() -> bool:
                found = [span for _, span in collector.spans() if span.name == "apns"]
                return bool(sum(_attribute(span, "heliogram.accepted") for span in found) == 102)

            eventually(arrived, what="all spans to arrive")
            phones.close()
            backend.close()
    found = list(collector.spans())
    assert {name for name, _ in found} == {"heliogram"}
    ours = {span.name for _, span in found if span.trace_id.hex() == TRACE}
    assert {"POST /v1/PushNotifications", "accept", "send chunk", "apns"} <= ours
    chunks = {_attribute(span, OPERATION): span for _, span in found if span.name == "send chunk"}
    assert chunks[small].trace_id.hex() == TRACE
    assert chunks[large].trace_id.hex() != TRACE
    (single,) = [span for _, span in found if span.name == "apns" and _attribute(span, "heliogram.pushes") == 1]
    assert _attribute(single, "http.response.status_code") == 200


def _attribute(span: Any, name: str) -> Any:
    for each in span.attributes:
        if each.key == name:
            return each.value.int_value if each.value.HasField("int_value") else each.value.string_value
    return 0
