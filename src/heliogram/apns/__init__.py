"""The APNs engine: usable alone, knows nothing of the service around it."""
