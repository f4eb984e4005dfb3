"""A process of a benchmark: one peer in one role."""

from __future__ import annotations

import sys
import traceback
from typing import Any

from . import benchmarks, peers, sampling
from .job import Job
from .speak import UnsupportedError, WrongMessage, say, when_told


def run(role_name: str, peer_name: str, job: Job) -> int:
    """Play the role; returns the exit status."""
    peer: Any = peers.BY_NAME[peer_name]
    try:
        missing = peer.missing()
        if missing is not None:
            raise UnsupportedError(missing)
        with sampling.of_this_process(role_name) as begins:
            if benchmarks.ROLES[role_name].told:
                when_told(begins)
            else:
                begins()
            _play(role_name, peer, job)
    except UnsupportedError as error:
        say("unsupported", why=str(error))
    except WrongMessage as error:
        say("error", text=str(error))
        return 1
    except Exception as error:  # noqa: BLE001 - whatever a peer does is told to the parent
        traceback.print_exc(file=sys.stderr)
        say("error", text=f"{type(error).__name__}: {error}")
        return 1
    return 0


def _play(role_name: str, peer: Any, job: Job) -> None:
    if hasattr(peer, "roles"):
        if role_name not in peer.roles:
            raise UnsupportedError(f"has no {role_name}")
        peer.roles[role_name](job)
        return
    role = benchmarks.ROLES[role_name]
    if hasattr(peer, "run"):
        peer.run(role.awaiting, peer, job)
    else:
        role.blocking(peer, job)
