"""The service's REST API (docs/reference/push-api.md) over the domain and the ports."""

from .application import ENDPOINTS, build
from .health import build_health
from .state import ApiSettings, ApiState

__all__ = ["ENDPOINTS", "ApiSettings", "ApiState", "build", "build_health"]
