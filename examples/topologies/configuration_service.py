"""A configuration service: gives topologies and their address maps to whoever asks by name.

For the name NAME it answers "ok", what NAME.toml in its folder holds, and NAME.addresses.toml if
there is one. They are read for each request, so that SIGHUP to a `hypersocket run` is all that it
takes to have it pull a change.

python configuration_service.py ENDPOINT FOLDER
"""

import re
import sys
from pathlib import Path

import trio

import hypersocket as hs


def answer(folder: Path, name: str) -> list[bytes]:
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        return [b"error", b"expected a name of letters, digits, '-' and '_'"]
    files = [folder / f"{name}.toml", folder / f"{name}.addresses.toml"]
    if not files[0].exists():
        return [b"error", f"there is no topology {name!r}".encode()]
    return [b"ok", *(file.read_bytes() for file in files if file.exists())]


async def main() -> None:
    endpoint, folder = sys.argv[1:]
    async with hs.Rep(bind=endpoint) as rep:
        print("serving", folder, flush=True)
        async for name in rep:
            await rep.send_multipart(answer(Path(folder), name.decode(errors="replace")))


trio.run(main)
