"""A stand-alone APNs that anyone can run: real TLS and HTTP/2, real token checks, virtual devices.

It shares nothing with the push engine but the HTTP/2 framing, so that it stays an independent witness of it.
Run it with ``python -m heliogram.simulator``, or use `Simulator` in a test.
"""

from .clientcerts import CertificateOrder, IssuedCertificate
from .errors import Conflict, Invalid, Missing, PortTaken, SimulatorError
from .journal import RequestRecord
from .keys import IssuedKey, Key
from .lockscreen import Notification
from .portal import AppId, Portal, Team
from .registry import App, Device, Forward, Launch
from .rules import RULES, Rule
from .simulator import Simulator
from .tables import Settings

__all__ = [
    "RULES",
    "App",
    "AppId",
    "CertificateOrder",
    "Conflict",
    "Device",
    "Forward",
    "Invalid",
    "IssuedCertificate",
    "IssuedKey",
    "Key",
    "Launch",
    "Missing",
    "Notification",
    "PortTaken",
    "Portal",
    "RequestRecord",
    "Rule",
    "Settings",
    "Simulator",
    "SimulatorError",
    "Team",
]
