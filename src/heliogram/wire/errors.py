"""What goes wrong on an HTTP/2 connection."""

from __future__ import annotations

import enum


class ErrorCode(enum.IntEnum):
    """Error codes of RST_STREAM and GOAWAY (RFC 9113 §7)."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11
    INADEQUATE_SECURITY = 12
    HTTP_1_1_REQUIRED = 13


class ProtocolError(Exception):
    """The peer broke the protocol in a way that ends the connection (RFC 9113 §5.4.1).

    `code` is what our GOAWAY carries, `section` the rule that was broken, such as "RFC 9113 §6.5.2".
    """

    def __init__(self, code: ErrorCode, section: str, detail: str) -> None:
        super().__init__(f"{detail} ({code.name}, {section})")
        self.code = code
        self.section = section
        self.detail = detail
