"""Heliogram: a push notification service you run yourself.

The rooms, bottom floor first, are described in `docs/architecture.md`. The APNs engine is usable alone:
`from heliogram.apns import Client`.
"""

__version__ = "0.1.0.dev0"
