"""Run a program to its end and say what it took: seconds, CPU seconds, the highest memory of it and its children.

A benchmark times whole processes, start-up and imports included, because that is what a job pays for. Linux only.
"""

from __future__ import annotations

import os
import select
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_EVERY_SECONDS: Final = 0.05


@dataclass(frozen=True)
class TimedRun:
    """Of a process and its children: seconds, CPU seconds, and their highest resident memory together, in bytes.

    Memory is looked at every 50 ms; what a process takes in its last ones is not seen.
    """

    seconds: float
    cpu_seconds: float
    peak_bytes: int


def timed(
    command: Sequence[str], *, environment: Mapping[str, str] | None = None, memory_limit: int | None = None
) -> TimedRun:
    """Run `command`; raises CalledProcessError, with what it wrote to stderr, where it fails.

    `memory_limit`, in bytes, is the kernel's (RLIMIT_DATA: the heap and every private mapping that can be written). A
    process that wants more gets none, whatever it believes of itself.
    """
    limited = command if memory_limit is None else ["prlimit", f"--data={memory_limit}", *command]
    start, peak, cpu = time.perf_counter(), 0, dict[int, float]()
    with tempfile.TemporaryFile("w+", encoding="utf-8") as log:
        process = subprocess.Popen(limited, stdout=log, stderr=log, env=environment)
        handle = os.pidfd_open(process.pid)  # to be read from when the process ends
        while not select.select([handle], [], [], _EVERY_SECONDS)[0]:
            pids = list(_family(process.pid))
            peak = max(peak, sum(memory_bytes(pid, "VmRSS") for pid in pids), memory_bytes(process.pid, "VmHWM"))
            cpu.update({pid: max(cpu.get(pid, 0.0), _cpu_seconds(pid)) for pid in pids})
        os.close(handle)
        ended = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(ended[1])
        log.seek(0)
        if process.returncode:
            error = subprocess.CalledProcessError(process.returncode, command, stderr=log.read())
            error.add_note(error.stderr.strip())
            raise error
    # What the kernel counted is exact, but leaves out children that nobody waited for, such as Spark's Java process.
    # Its own ru_maxrss is of no use: Linux counts the memory of the process that started it, which is this one.
    counted = ended[2].ru_utime + ended[2].ru_stime
    return TimedRun(seconds, max(counted, sum(cpu.values())), peak)


def _family(pid: int) -> Iterator[int]:
    yield pid
    try:
        threads = [path / "children" for path in Path(f"/proc/{pid}/task").iterdir()]
        children = [child for path in threads for child in path.read_text().split()]
    except OSError:  # it has ended meanwhile
        return
    for child in children:
        yield from _family(int(child))


def memory_bytes(pid: int, what: str) -> int:
    """VmRSS, what is resident now, or VmHWM, the most that ever was."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return int(status.split(f"{what}:")[1].split()[0]) * 1024 if f"{what}:" in status else 0


def _cpu_seconds(pid: int) -> float:
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")


def growth(found: Mapping[tuple[str, int], TimedRun], unit: str) -> Iterator[str]:
    """What a unit of the data costs at each size, in what it costs at one; `found` is by name and size.

    1 is linear, below 1 the start-up is shared.
    """
    for (name, times), run in found.items():
        if times > 1:
            one = found[name, 1]
            seconds, cpu = run.seconds / one.seconds / times, run.cpu_seconds / one.cpu_seconds / times
            yield f"- {name}, {unit} at {times} times: {seconds:.2f} times the seconds, {cpu:.2f} times the CPU seconds"


def ratios(found: Mapping[tuple[str, int], TimedRun], reference: str) -> Iterator[str]:
    """What each name takes at each size, in times of the reference."""
    for (name, times), run in found.items():
        if name != reference:
            one = found[reference, times]
            seconds, cpu = run.seconds / one.seconds, run.cpu_seconds / one.cpu_seconds
            memory = f"{run.peak_bytes / one.peak_bytes:.2f} the memory of {reference}"
            yield f"- at {times} times, {name}: {seconds:.2f} times the seconds, {cpu:.2f} the CPU seconds, {memory}"
