"""Sans-I/O HTTP/2 for APNs-shaped traffic: bytes in, events out; no socket, no clock, no event loop."""

from heliogram.wire.client import ClientSession
from heliogram.wire.errors import ErrorCode, ProtocolError
from heliogram.wire.events import (
    Answered,
    ClientGone,
    Event,
    GoAway,
    Head,
    Headers,
    Pinged,
    Pong,
    Received,
    Request,
    Reset,
    ServerEvent,
    SettingsChanged,
    StreamReset,
    Unprocessed,
)
from heliogram.wire.server import ServerSession

__all__ = [
    "Answered",
    "ClientGone",
    "ClientSession",
    "ErrorCode",
    "Event",
    "GoAway",
    "Head",
    "Headers",
    "Pinged",
    "Pong",
    "ProtocolError",
    "Received",
    "Request",
    "Reset",
    "ServerEvent",
    "ServerSession",
    "SettingsChanged",
    "StreamReset",
    "Unprocessed",
]
