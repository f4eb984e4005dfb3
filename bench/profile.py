"""``python -m bench profile CASE``: where the time of ours goes in one case, for each process."""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TypeVar

import hypersocket

from . import benchmarks, machine, sampling
from .contract import Case, grouped
from .peers.ours import Ours
from .process import BrokenPeer
from .sampling import Frame, Sampler, Samples
from .speak import UnsupportedError

_T = TypeVar("_T")

FOLDER = "profiles"
"""Within the directory that ``--output`` names, for this command and for ``compare``."""
MOST_ROUNDS, MORE_MESSAGES = 6, 5
"""Where the number of messages is given, it lasts for a fraction of a second."""
FUNCTIONS, SYMBOLS = 16, 12


def main(arguments: list[str]) -> int:
    """Returns 0, 1 if a benchmark is broken, or 2 for bad usage."""
    options = _parser().parse_args(arguments)
    cases = {case.name: case for short in (True, False) for case in benchmarks.cases(short)}
    unknown = [name for name in options.cases if name not in cases]
    if unknown:
        print(f"bench profile: no benchmark {unknown[0]}: there are {', '.join(cases)}",
              file=sys.stderr)  # fmt: skip
        return 2
    missing = Ours(options.core).missing()
    sampler, why = _choose(options.tool)
    if missing or (sampler is None and options.tool != "auto"):
        print(f"bench profile: {missing or why}", file=sys.stderr)
        return 2
    for name in options.cases:
        try:
            profile = take(cases[name], options.core, sampler, options.seconds)
        except (BrokenPeer, UnsupportedError) as error:
            print(f"bench profile: {name}: {error}", file=sys.stderr)
            return 1
        markdown = as_markdown(profile, why)
        print(markdown)
        if options.output is not None:
            path = options.output / FOLDER / file_name(name, options.core)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(markdown, encoding="utf-8")
            print(f"written to {path}")
    return 0


def file_name(case: str, core: str) -> str:
    """What the profile of a case is called."""
    return case.replace("/", "-") + ("" if core == "compiled" else f"-{core}") + ".md"


def found(directory: Path | None, cases: Sequence[Case]) -> dict[str, str]:
    """The profiles that are in a directory, by case and, but for the compiled, the option of it."""
    if directory is None:
        return {}
    names = {
        case.name + words: f"{FOLDER}/{file_name(case.name, core)}"
        for case in cases
        for core, words in (("compiled", ""), ("pure", " --core pure"))
    }
    return {name: place for name, place in names.items() if (directory / place).exists()}


def _choose(tool: str) -> tuple[Sampler | None, str]:
    """The sampler to use, and why there is none."""
    reasons: list[str] = []
    for sampler in sampling.ALL:
        if tool in ("auto", sampler.name):
            why = sampler.missing()
            if why is None:
                return sampler, ""
            reasons.append(why)
    return None, "; ".join(reasons)


# --- taking it -----------------------------------------------------------------------------------


class Sampled(Ours):
    """Ours, with a sampler on each process."""

    def __init__(self, form: str, sampler: Sampler | None, directory: Path) -> None:
        super().__init__(form)
        self._extra = {
            sampling.DIRECTORY: str(directory),
            sampling.TOOL: sampler.name if sampler else "",
        }

    def environment(self) -> dict[str, str]:
        return {**super().environment(), **self._extra}


@dataclass(slots=True)
class Process:
    """What was seen of one role, in all rounds together; times in seconds."""

    role: str
    seconds: float = 0.0
    user: float = 0.0
    system: float = 0.0
    switches: int = 0
    forced: int = 0
    complaint: str = ""
    samples: Samples = field(default_factory=dict[tuple[Frame, ...], int])


@dataclass(slots=True)
class Profile:
    """One case of ours, sampled."""

    case: Case
    core: str
    sampler: Sampler | None
    values: list[float] = field(default_factory=list[float])
    processes: dict[str, Process] = field(default_factory=dict[str, Process])


def take(case: Case, core: str, sampler: Sampler | None, seconds: float) -> Profile:
    """Run the case until each process has been sampled for so long, as far as rounds go."""
    profile = Profile(case, core, sampler)
    job = replace(
        case.job,
        seconds=seconds,
        warmup=min(0.3, seconds / 2),
        count=MORE_MESSAGES * case.job.count,
    )
    for _ in range(MOST_ROUNDS):
        with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
            peer = Sampled(core, sampler, Path(scratch))
            profile.values.append(case.measure(peer, job).value)
            _gather(profile, Path(scratch))
        if all(process.seconds >= seconds for process in profile.processes.values()):
            break
    return profile


def _gather(profile: Profile, directory: Path) -> None:
    for path in sorted(directory.glob("*.json")):
        facts = json.loads(path.read_text(encoding="utf-8"))
        process = profile.processes.setdefault(facts["role"], Process(facts["role"]))
        for key in ("seconds", "user", "system", "switches", "forced"):
            setattr(process, key, getattr(process, key) + facts[key])
        process.complaint = process.complaint or facts["complaint"]
        samples = path.with_suffix(".samples")
        if profile.sampler is not None and _has_gone(facts["sampler"]) and samples.exists():
            for stack, count in profile.sampler.read(samples).items():
                if not waits(stack):
                    process.samples[stack] = process.samples.get(stack, 0) + count


def _has_gone(pid: int | None) -> bool:
    """Wait until a sampler has ended; the process that it sampled may have, long before."""
    end = time.monotonic() + 10
    while pid is not None and time.monotonic() < end:
        try:
            state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        except OSError:
            return True
        if state[0] == "Z":
            return True
        time.sleep(0.02)
    return False


# --- understanding it ----------------------------------------------------------------------------

KERNEL, CALLS, CORE = "the kernel", "system calls", "the compiled core"
OURS, TRIO, BENCH = "hypersocket, in Python", "trio, in Python", "the benchmark's own loop"
LIBRARIES, C_LIBRARY, CPYTHON = "Python's libraries", "the C library", "CPython, in C"

_CALLS = frozenset(
    (
        "accept",
        "accept4",
        "clock_nanosleep",
        "close",
        "connect",
        "epoll_ctl",
        "epoll_pwait",
        "epoll_wait",
        "poll",
        "ppoll",
        "read",
        "readv",
        "recv",
        "recvfrom",
        "recvmsg",
        "select",
        "send",
        "sendmsg",
        "sendto",
        "shutdown",
        "splice",
        "write",
        "writev",
    )
)
_WAITS = frozenset(
    (
        "clock_nanosleep",
        "do_futex_wait",
        "epoll_pwait",
        "epoll_wait",
        "futex_abstimed_wait_common",
        "futex_abstimed_wait_common64",
        "poll",
        "ppoll",
        "pthread_cond_timedwait",
        "pthread_cond_wait",
        "select",
        "sem_clockwait",
        "sem_timedwait",
        "sem_wait",
    )
)
_C_LIBRARY = ("libc.", "libc-", "ld-", "[vdso]", "libpthread")
_PYTHON = {"hypersocket": OURS, "trio": TRIO, "bench": BENCH, "outcome": TRIO}


@cache
def _core_modules() -> frozenset[str]:
    directory = Path(hypersocket.__file__).parent / "_speedups"
    files = [path for pattern in ("*.py", "*.pxd", "*.pyx") for path in directory.glob(pattern)]
    return frozenset(path.stem.lstrip("_") for path in files) - {"init__"}


def is_python(frame: Frame) -> bool:
    """Whether it is a function in Python."""
    return frame.place.endswith(".py") or frame.place.startswith("<")


def is_core(frame: Frame) -> bool:
    """Whether it is a function of the compiled core, or one that Cython made for it."""
    module = frame.place.rpartition("/")[2].partition(".")[0].lstrip("_")
    return not is_python(frame) and module in _core_modules()


def waits(stack: tuple[Frame, ...]) -> bool:
    """Whether it was doing nothing: waiting for the system, for a lock, or for the parent."""
    return _called(stack[-1]) in _WAITS or any(
        frame.name == "wait_told" and frame.place == "bench/speak.py" for frame in stack
    )


def _called(frame: Frame) -> str:
    """The function of the C library that it is, without the prefixes that those have."""
    if not frame.place.startswith(_C_LIBRARY):
        return ""
    return frame.name.lstrip("_").removeprefix("libc_").removeprefix("GI_")


def whose(stack: tuple[Frame, ...]) -> str:
    """Whose code was running."""
    frame = stack[-1]
    if is_python(frame):
        return _PYTHON.get(frame.place.partition("/")[0], LIBRARIES)
    if "kernel" in frame.place:
        return KERNEL
    # What was put into its callers is in a header of somebody else's.
    caller = next((one for one in reversed(stack) if not one.place.endswith(".h")), frame)
    if is_core(caller):
        return CORE
    if frame.place.startswith(_C_LIBRARY):
        return CALLS if _called(frame) in _CALLS else C_LIBRARY
    return CPYTHON


def owner(stack: tuple[Frame, ...]) -> Frame:
    """The innermost function of Python's or the core's, which pays for what it has C do."""
    helper: Frame | None = None
    for frame in reversed(stack):
        if is_core(frame):
            if not frame.name.lower().startswith(("__pyx", "py_")):
                return frame
            helper = helper or frame
        elif is_python(frame):
            return helper or frame
    return helper or stack[-1]


def readable(name: str) -> str:
    """A function's name without what Cython adds: ``__pyx_f_3abc_1d_run`` is ``abc.d.run``."""
    match = re.fullmatch(r"__pyx_(?:f|pw|pf|gb)_(\d.*)", name)
    if match is None:
        return name
    parts: list[str] = []
    rest = match[1]
    while number := re.match(r"\d+", rest):
        end = number.end() + int(number[0])
        part = rest[number.end() : end]
        if len(part) < int(number[0]) or rest[end : end + 1] not in ("", "_"):
            rest = rest[number.end() :]  # a number that tells methods of one name apart
            break
        parts.append(part)
        rest = rest[end + 1 :]
    return ".".join([*parts, rest] if rest else parts)


def by_group(samples: Samples) -> Counter[str]:
    """How many samples each group of code has."""
    return _count(samples, lambda stack: [whose(stack)])


def by_owner(samples: Samples) -> Counter[Frame]:
    """How many samples each function has, with what it has C do."""
    return _count(samples, lambda stack: [owner(stack)])


def by_presence(samples: Samples) -> Counter[Frame]:
    """How many samples each function is on the stack of."""
    return _count(samples, lambda stack: {owner(stack[: n + 1]) for n in range(len(stack))})


def by_symbol(samples: Samples) -> Counter[Frame]:
    """How many samples each function in C, or in the kernel, was running in itself."""
    native = {stack: count for stack, count in samples.items() if not is_python(stack[-1])}
    return _count(native, lambda stack: [stack[-1]])


def _count(samples: Samples, keys: Callable[[tuple[Frame, ...]], Iterable[_T]]) -> Counter[_T]:
    counted: Counter[_T] = Counter()
    for stack, count in samples.items():
        for key in keys(stack):
            counted[key] += count
    return counted


# --- telling it ----------------------------------------------------------------------------------


def as_markdown(profile: Profile, why_not: str = "") -> str:
    """The whole profile; ``why_not`` says why nothing could be sampled."""
    case, core = profile.case, "" if profile.core == "compiled" else f" --core {profile.core}"
    commit = machine.commit()
    rows = {
        "profiled": f"hypersocket ({profile.core}) {hypersocket.__version__}"
        + (f" at {commit}" if commit else ""),
        **machine.described(),
        "sampled": _sampled(profile, why_not),
        "so slowed": f"{', '.join(_figure(value) for value in profile.values)} {case.unit}",
    }
    lines = [
        f"<!-- Written by `python -m bench profile {case.name}{core}`; do not edit. -->",
        "",
        f"# {case.name}{core}: {case.title}",
        "",
        "| what | which |",
        "| --- | --- |",
        *(f"| {what} | {which} |" for what, which in rows.items()),
        "",
    ]
    for process in profile.processes.values():
        lines += _of_process(process)
    return "\n".join(lines)


def _sampled(profile: Profile, why_not: str) -> str:
    if profile.sampler is None:
        return f"not at all: {why_not}"
    return f"{profile.sampler.said}; {sampling.RATE} times a second"


def _figure(value: float) -> str:
    return grouped(value) if value >= 1000 else f"{value:.3g}"


def _of_process(process: Process) -> list[str]:
    busy, seconds = process.user + process.system, max(process.seconds, 1e-9)
    sentences = [
        (
            f"Busy for {_share(busy, seconds)} of {seconds:.1f} s: {_share(process.user, busy)} in"
            f" its own code, {_share(process.system, busy)} in the system."
        ),
        (
            f"It waited {_figure(process.switches / seconds)} times a second, and was interrupted"
            f" {_figure(process.forced / seconds)} times."
        ),
    ]
    lines = [f"## {process.role}", "", " ".join(sentences), ""]
    total = sum(process.samples.values())
    if not total:
        return [*lines, f"Nothing was sampled. {process.complaint}".rstrip(), ""]
    lines += [
        f"| whose code was running, in {grouped(total)} samples | share |",
        "| --- | ---: |",
        *(
            f"| {group} | {_share(count, total)} |"
            for group, count in by_group(process.samples).most_common()
        ),
        "",
    ]
    if any(is_python(stack[-1]) or len(stack) > 1 for stack in process.samples):
        present = by_presence(process.samples)
        lines += [
            "| function | itself, with what it has C do | with all it calls |",
            "| --- | ---: | ---: |",
            *(
                f"| {_named(frame)} | {_share(count, total)} | {_share(present[frame], total)} |"
                for frame, count in by_owner(process.samples).most_common(FUNCTIONS)
            ),
            "",
        ]
    symbols = by_symbol(process.samples).most_common(SYMBOLS)
    if symbols:
        lines += [
            "| in C, itself | share |",
            "| --- | ---: |",
            *(f"| {_named(frame)} | {_share(count, total)} |" for frame, count in symbols),
            "",
        ]
    return lines


def _named(frame: Frame) -> str:
    place = f", {frame.place}" if frame.place else ""
    return f"`{readable(frame.name)}`{place}".replace("|", "\\|")


def _share(part: float, whole: float) -> str:
    return f"{part / whole:.1%}".replace("%", " %") if whole else "0 %"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench profile",
        description="Show where the time of ours goes in a case, for each of its processes.",
    )
    add = parser.add_argument
    add("cases", nargs="+", metavar="CASE", help="such as thr/tcp/64; `bench list` has all")
    add("--core", choices=("compiled", "pure"), default="compiled", help="which form (compiled)")
    add("--seconds", type=_seconds, default=3.0, help="how long to sample each process (3)")
    add("--tool", choices=("auto", *(sampler.name for sampler in sampling.ALL)), default="auto",
        help="what samples: py-spy where it may, perf otherwise")  # fmt: skip
    add("--output", type=Path, metavar="DIR", help=f"write it to DIR/{FOLDER} too")
    return parser


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value <= 600:
        raise argparse.ArgumentTypeError("expected more than 0, and at most 600")
    return value
