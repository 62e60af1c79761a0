"""The control API: keys, devices and the request log over HTTP, for tests in any language and for people."""

from .app import ENDPOINTS, build_control
from .base import Controlled
from .server import ControlServer

__all__ = ["ENDPOINTS", "ControlServer", "Controlled", "build_control"]
