"""What is raised where a topology file is wrong."""

from __future__ import annotations

from .._files._problems import ConfigurationError


class TopologyError(ConfigurationError):
    """A topology file is wrong, or what was asked of a topology is.

    ``str()`` has a line for each problem, and each line names the file, the key and the value.
    """
