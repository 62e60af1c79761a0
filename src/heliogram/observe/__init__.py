"""What the service sees of itself and of time."""
