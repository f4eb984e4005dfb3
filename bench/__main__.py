"""``python -m bench``: ``compare``, ``profile``, ``list``, ``build``, or a role by its name."""

from __future__ import annotations

import sys

from . import benchmarks, child, peers
from .job import Job

USAGE = f"""\
python -m bench compare [--help]       measure, and write tables and plots
python -m bench profile CASE [--help]  where the time of ours goes
python -m bench list                   the benchmarks and the peers
python -m bench build                  the programs in C, as far as there is what they need
python -m bench ROLE [peer=NAME] [key=value ...]
    one side alone, such as: local_thr endpoint=tcp://127.0.0.1:5555 size=64
    roles: {", ".join(benchmarks.ROLES)}
    peers: {", ".join(peers.BY_NAME)}
"""


def main(arguments: list[str]) -> int:
    """Run the command; returns the exit status."""
    match arguments:
        case ["compare", *rest]:
            from . import compare

            return compare.main(rest)
        case ["profile", *rest]:
            from . import profile

            return profile.main(rest)
        case ["list"]:
            for case in benchmarks.cases():
                print(f"{case.name:24} {case.title}")
            for peer in peers.ALL:
                print(f"{peer.name:24} {peer.missing() or peer.version()}")
            return 0
        case ["build"]:
            from . import build

            for name, why in build.build_all().items():
                print(f"{name:24} {why or 'built'}")
            return 0
        case [role, *rest] if role in benchmarks.ROLES:
            return _play(role, rest)
        case ["--help"]:
            print(USAGE, end="")
            return 0
        case _:
            print(USAGE, end="", file=sys.stderr)
            return 2


def _play(role: str, words: list[str]) -> int:
    chosen = [word.removeprefix("peer=") for word in words if word.startswith("peer=")]
    peer = chosen[-1] if chosen else "hypersocket-pure"
    if peer not in peers.BY_NAME:
        print(f"no peer {peer!r}: there are {', '.join(peers.BY_NAME)}", file=sys.stderr)
        return 2
    try:
        job = Job.parse(word for word in words if not word.startswith("peer="))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    return child.run(role, peer, job)


def _main() -> int:
    try:
        return main(sys.argv[1:])
    except ModuleNotFoundError as error:
        if error.name != "numpy":
            raise
        print("bench: this needs numpy: pip install '.[bench]'", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(_main())
