"""The command as a user has it: a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import trio

import hypersocket as hs
from hypersocket import cli
from hypersocket.cli import demo

MODULE = [sys.executable, "-m", "hypersocket"]
SCRIPT = Path(sys.executable).with_name("hypersocket")

NAME = f"hypersocket {hs.__version__} ({hs.speedups} core)"
SHOWN = f"""\
{NAME}: each pattern and device at work, over tcp on 127.0.0.1

1. Request and reply (REQ, REP)
        client  ->  server      How many legs has a spider?
        server  ->  client      Eight.

2. Request and reply through a queue (REQ, ROUTER, DEALER, REP)
           ann  ->  worker 1    7
      worker 1  ->  ann         49
           bob  ->  worker 2    8
      worker 2  ->  bob         64
           ann  ->  worker 1    9
      worker 1  ->  ann         81

3. Publish and subscribe (PUB, SUB)
     publisher  ->  farmer      weather rain
     publisher  ->  farmer      weather storm by night
     publisher  ->  sailor      sport regatta at three
     publisher  ->  sailor      weather storm by night

4. Publish and subscribe through a forwarder (PUB, XSUB, XPUB, SUB)
     publisher  ->  trader      price 42
     publisher  ->  reporter    gossip she has left
     publisher  ->  reporter    price 42

5. Pipeline (PUSH, PULL)
        source  ->  worker 1    jobs 1, 4, 7
        source  ->  worker 2    jobs 2, 5, 8
        source  ->  worker 3    jobs 3, 6, 9

6. Pipeline through a streamer (PUSH, PULL, PUSH, PULL)
          mine  ->  smelter     ore 1
          mine  ->  smelter     ore 2
          mine  ->  smelter     ore 3
        quarry  ->  smelter     stone 1
        quarry  ->  smelter     stone 2
        quarry  ->  smelter     stone 3

7. Exclusive pair (PAIR)
          left  ->  right       a message | of two frames
         right  ->  left        and one the other way

Every message arrived where it should.
"""


def run(
    command: list[str], *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=Path(hs.__file__).parents[1],
        env={**os.environ, **environment},
    )


def test_demo_as_a_module() -> None:
    done = run(MODULE, "demo")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == SHOWN


@pytest.mark.skipif(not SCRIPT.exists(), reason="the package is not installed here")
def test_demo_as_a_command() -> None:
    done = run([str(SCRIPT)], "demo")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == SHOWN


def test_output_needs_no_unicode() -> None:
    done = run(MODULE, "demo", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_device_that_keeps_something_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def kept() -> None:
        async with (
            hs.Pull(bind=demo.ANY_PORT) as front,
            hs.Push(bind=demo.ANY_PORT, linger=0.0) as back,
            hs.Push(connect=front.endpoints) as source,
            trio.open_nursery() as nursery,
        ):
            device: hs.devices.Device = await nursery.start(hs.devices.streamer, front, back)
            await source.send(b"nobody wants this")
            while not device.stats().frontend.messages_in:
                await trio.lowlevel.checkpoint()
            await demo._stopped(device)

    monkeypatch.setattr(demo, "PATTERNS", (("Kept", kept),))
    assert cli.main(["demo"]) == 1
    assert "the streamer has not delivered all" in capsys.readouterr().err


def test_a_wrong_delivery_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def corrupted() -> None:
        demo._delivered("here", "there", b"sent", b"expected")

    monkeypatch.setattr(demo, "PATTERNS", (("Corrupted", corrupted),))
    assert cli.main(["demo"]) == 1
    assert capsys.readouterr().err == (
        "hypersocket: there was to receive b'expected', and received b'sent'\n"
    )


def test_silence_fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    async def silent() -> None:
        async with hs.Pull() as pull:
            await pull.recv()

    monkeypatch.setattr(demo, "PATTERNS", (("Silence", silent),))
    monkeypatch.setattr(demo, "PATIENCE", 0.0)
    assert cli.main(["demo"]) == 1
    assert capsys.readouterr().err == "hypersocket: Silence: nothing arrived within 0 seconds\n"


def test_an_error_of_the_network_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "ANY_PORT", "tcp://[::2]:*")
    assert cli.main(["demo"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_a_mistake_of_ours_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(demo, "PATTERNS", (("Broken", broken),))
    with pytest.raises(ZeroDivisionError):
        cli.main(["demo"])


ENDLESS = """
import sys, trio
import hypersocket as hs
from hypersocket.cli import demo, main

async def endless():
    async with hs.Pull(bind=demo.ANY_PORT) as pull, trio.open_nursery() as nursery:
        nursery.start_soon(pull.recv)
        print("waiting", flush=True)

demo.PATTERNS = (("Endless", endless),)
sys.exit(main(["demo"]))
"""


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_ctrl_c_ends_it_at_once_and_in_one_line() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ENDLESS],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(hs.__file__).parents[1],
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stdout:
            if "waiting" in line:
                break
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 1
        assert process.stderr.read() == "hypersocket: interrupted\n"


@pytest.mark.skipif(os.name != "posix", reason="uses a shell")
def test_a_reader_that_leaves_early_is_no_calamity() -> None:
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "hypersocket", "demo"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(hs.__file__).parents[1],
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.wait(timeout=60) == 1
        assert process.stderr.read() == ""
