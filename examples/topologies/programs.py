"""What the programs of these examples share: they find their sockets in the topology file.

Each takes the file, its own arguments, and NAME=VALUE for variables of the file. In place of the
file there may be the endpoint of a configuration service, and after a # the topology's name.
"""

import sys

from hypersocket.devices import topology


async def load_topology() -> tuple[topology.Topology, list[str]]:
    """The topology that the command line names, and the other arguments."""
    where, *rest = sys.argv[1:]
    variables = dict(one.split("=", 1) for one in rest if "=" in one)
    arguments = [one for one in rest if "=" not in one]
    if "://" in where:
        endpoint, _, name = where.partition("#")
        return await topology.load_from(endpoint, name, variables=variables), arguments
    return topology.load(where, variables=variables), arguments


def say(*words: object) -> None:
    """Print a line now, also where nobody sees a terminal."""
    print(*words, flush=True)
