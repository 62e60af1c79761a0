"""From an accepted operation to recorded outcomes: lease, resolve, render, send, record, retry."""
