"""The dashboard: pages over the REST API, which they call in process with the key of whoever is signed in.

What a page shows or changes goes through the API, so that scopes, tenancy and the audit log are the API's. Nothing here
knows the store.
"""

from .app import Dashboard, build_dashboard
from .front import Front

__all__ = ["Dashboard", "Front", "build_dashboard"]
