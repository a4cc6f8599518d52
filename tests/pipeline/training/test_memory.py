"""What may be used is the least that any limit leaves, as the kernel's own files and limits say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.training import memory

STATUS = "VmSize:\t  300000 kB\nVmData:\t  100000 kB\n"
MACHINE = "MemTotal: 9000000 kB\nMemAvailable:  4000000 kB\n"


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files of a machine with 4 GB free and no limit; control groups are added below the folder returned."""
    for name, text in (("status", STATUS), ("meminfo", MACHINE)):
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(memory, "_STATUS", tmp_path / "status")
    monkeypatch.setattr(memory, "_MACHINE", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "_CGROUP", tmp_path / "cgroup")
    monkeypatch.setattr(memory, "_own_control_group", lambda: Path("job/step"))
    return tmp_path / "cgroup"


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


def test_without_limits_it_is_what_the_machine_has_free_shared_equally(kernel: Path) -> None:
    write(kernel / "job/step", memory__max="max\n", memory__current="5\n")
    assert memory.usable_memory() == memory.Usable(4_096_000_000, "the machine's free memory")
    assert memory.usable_memory(sharing=4).n_bytes == 1_024_000_000


def test_a_container_may_use_its_limit_less_what_it_uses_but_for_cached_files(kernel: Path) -> None:
    """Version 2, a limit of a parent: 1,000 less 600, of which 250 are files that the kernel gives up."""
    write(kernel / "job/step", memory__max="max\n", memory__current="600\n")
    stat = "anon 350\ninactive_file 150\nactive_file 100\n"
    write(kernel / "job", memory__max="1000\n", memory__current="600\n", memory__stat=stat)
    assert memory.usable_memory() == memory.Usable(650, "the container's limit")


def test_control_groups_of_version_1_count_too(kernel: Path) -> None:
    write(kernel / "memory", memory__limit_in_bytes="1000\n", memory__usage_in_bytes="900\n")
    write(kernel / "memory", memory__stat="total_inactive_file 30\ntotal_active_file 0\n")
    assert memory.usable_memory().n_bytes == 130


@pytest.mark.parametrize(("limit", "why"), [("as", "ulimit -v"), ("data", "ulimit -d")])
def test_a_limit_of_the_process_counts_and_is_named(limit: str, why: str, root: Path) -> None:
    """A real one, of a real process: it may use less than the limit, by what it has."""
    code = "from pipeline.training.memory import usable_memory as u; print(u().n_bytes, u().why)"
    command = ["prlimit", f"--{limit}=500000000", sys.executable, "-c", code]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    n_bytes, reason = done.stdout.strip().split(" ", 1)
    assert 100_000_000 < int(n_bytes) < 500_000_000
    assert why in reason
