"""Whether this process makes traces: OpenTelemetry's own variables say so. Without them nothing of it is imported."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from .tracing import Tracing

log = structlog.get_logger(__name__)

_ON = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_TRACES_EXPORTER")
_PROTOCOL = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")


def is_wanted(environ: Mapping[str, str]) -> bool:
    """Whether an exporter or the address of one is named, and nothing says no."""
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or environ.get("OTEL_TRACES_EXPORTER") == "none":
        return False
    return any(environ.get(name) for name in _ON)


def tracing_of(environ: Mapping[str, str] | None = None) -> Tracing | None:
    """The traces of this process, None when they are not wanted or cannot be made, which the log says: a service works
    without."""
    given = os.environ if environ is None else environ
    if not is_wanted(given):
        return None
    try:
        from .tracing import Tracing, exporter_of
    except ModuleNotFoundError as error:
        log.warning("traces.off", missing=error.name, cure="pip install 'heliogram[server,otel]'")
        return None
    exporter = exporter_of(given.get("OTEL_TRACES_EXPORTER") or "otlp")
    if exporter is None:
        log.warning("traces.off", exporter=given.get("OTEL_TRACES_EXPORTER"), cure="OTEL_TRACES_EXPORTER=otlp")
        return None
    protocol = next((given[name] for name in _PROTOCOL if given.get(name)), "http/protobuf")
    if protocol != "http/protobuf":
        log.warning("traces.protocol", wanted=protocol, used="http/protobuf")
    return Tracing.to(exporter, given)
