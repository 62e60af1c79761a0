"""What `heliogram doctor` looks at: each finding says what was seen, and what to do.

Nothing here changes anything but a small file in the data directory that measures the disk and is removed again.
Resolver, sockets, clock and the machine's own figures are parameters.
"""

from .examination import Patient, examine
from .finding import Finding, State

__all__ = ["Finding", "Patient", "State", "examine"]
