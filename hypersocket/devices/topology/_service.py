"""A topology from a configuration service: one question over a REQ socket.

The question is one frame, the name of the topology. The answer is ``ok``, the text of the topology
file, and the texts of address maps, which may be none; or ``error`` and what is wrong.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace

import trio

from ...sockets import Req
from .._files._problems import NOTHING, Problem
from ._errors import TopologyError
from ._load import loads
from ._spec import Source, Topology

_EMPTY: Mapping[str, str] = {}


async def load_from(
    endpoint: str,
    name: str = "",
    *,
    variables: Mapping[str, str] = _EMPTY,
    environ: Mapping[str, str] = os.environ,
    timeout: float = 10.0,
) -> Topology:
    """Ask a configuration service for a topology, and check it.

    The service need not be there yet: it is called until it answers.

    Args:
        endpoint: where the service is.
        name: which topology; a service that has only one may take no notice.
        variables: as for :func:`load`.
        environ: likewise.
        timeout: seconds to wait for the answer.

    Raises:
        TopologyError: there was no answer, or an error, or the topology is wrong.
        EndpointError: the endpoint cannot be understood.

    Cancelled, nothing has happened.
    """
    answer: list[bytes] = []
    async with Req(connect=endpoint, linger=0.0) as req:
        with trio.move_on_after(timeout):
            answer = await req.request_multipart([name.encode()])
    source = Source(
        path=endpoint, name=name, variables=dict(variables), environ=environ, timeout=timeout
    )
    where = f"{endpoint} {name}".rstrip()
    if not answer:
        raise _error(where, f"no configuration service answered within {timeout:g} s")
    try:
        status, *texts = (frame.decode() for frame in answer)
    except UnicodeDecodeError:
        raise _error(where, "the answer is not UTF-8 text") from None
    if status == "error" and texts:
        raise _error(where, f"the configuration service says: {texts[0]}")
    if status != "ok" or not texts:
        raise _error(where, f"expected an answer of 'ok' and a topology, not {answer[0][:40]!r}")
    topology = loads(texts[0], file=where, maps=texts[1:], variables=variables, environ=environ)
    return replace(topology, source=source)


def _error(where: str, text: str) -> TopologyError:
    return TopologyError([Problem(where, "", NOTHING, text)])
