"""How a service is configured: one table of settings, and the file and the environment that they are read from.

`table.SETTINGS` is the one place where a setting is described. Out of it come the options of the command line, the
names of environment variables, the reader of the file, `heliogram config` and docs/reference/settings.md.
"""

from .file import ConfigError, ConfigFile, Entry, find_file, read_file
from .table import BY_NAME, SETTINGS, Setting

__all__ = ["BY_NAME", "SETTINGS", "ConfigError", "ConfigFile", "Entry", "Setting", "find_file", "read_file"]
