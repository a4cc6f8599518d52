"""No damaged model crashes XGBoost, answers wrongly or ends in a traceback: it is refused in a sentence, or intact."""

from __future__ import annotations

import gzip
import io
import random
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from damage import damaged
from trained_models import answers, write_good_model

from pipeline.contract import names as c
from pipeline.contract.code_version import file_digest
from pipeline.contract.container import StepError
from pipeline.local.run.staging import pack
from pipeline.serving.predictor import load_predictor
from pipeline.training.artifact import read_artifact
from pipeline.training.champion import load_champion
from pipeline.training.model_files import write_digests

SEED = 20_261_127
FILES = (c.MODEL_FILE, c.MODEL_CARD_FILE, c.WALK_FORWARD_FILE, c.STATE_FILE, c.DIGESTS_FILE)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `good/` (unpacked) and `good.tar.gz`."""
    return write_good_model(tmp_path_factory.mktemp("damaged"))


def outcome(model: Path, right: np.ndarray) -> str:
    """intact or refused; whatever else it may be is an assertion's or pytest's."""
    try:
        found = answers(model)
    except StepError as error:
        assert "\n" not in str(error)
        assert len(str(error)) < 600
        return "refused"
    assert (found == right).all(), "a wrong answer"
    return "intact"


def seeded(what: str = "") -> random.Random:
    return random.Random(f"{SEED}{what}")  # noqa: S311 - the same damage each time


def test_damaged_archives(model: Path, tmp_path: Path) -> None:
    right, packed = answers(model / "good.tar.gz"), (model / "good.tar.gz").read_bytes()
    counts = {"refused": 0, "intact": 0}
    for data in damaged(seeded(), packed, 2):
        (tmp_path / "model.tar.gz").write_bytes(data)
        counts[outcome(tmp_path / "model.tar.gz", right)] += 1
    assert counts["refused"] > 200


def test_archives_that_were_damaged_before_they_were_packed(model: Path, tmp_path: Path) -> None:
    """Their own checksum is right: what is compared is each file's digest."""
    right, tar = answers(model / "good.tar.gz"), gzip.decompress((model / "good.tar.gz").read_bytes())
    counts = {"refused": 0, "intact": 0}
    for data in damaged(seeded("tar"), tar, 2):
        (tmp_path / "model.tar.gz").write_bytes(gzip.compress(data, 1))
        counts[outcome(tmp_path / "model.tar.gz", right)] += 1
    assert counts["refused"] > 150


@pytest.mark.parametrize("name", FILES)
def test_damaged_files_of_an_unpacked_model(model: Path, tmp_path: Path, name: str) -> None:
    good = (model / "good" / name).read_bytes()
    shutil.copytree(model / "good", tmp_path / "model")
    for data in damaged(seeded(name), good, 1):
        (tmp_path / "model" / name).write_bytes(data)
        if data != good:
            with pytest.raises(StepError, match=rf"({name}|{c.DIGESTS_FILE})"):
                load_predictor(tmp_path / "model", "1", 7)
    (tmp_path / "model" / name).unlink()
    with pytest.raises(StepError, match=rf"no {name} in it"):
        load_predictor(tmp_path / "model", "1", 7)
    for other in FILES:
        (tmp_path / "model" / name).write_bytes((model / "good" / other).read_bytes())
        assert (other == name) is (outcome(tmp_path / "model", answers(model / "good")) == "intact")


def test_names_in_damaged_digests_reach_no_terminal_as_they_are(model: Path, tmp_path: Path) -> None:
    shutil.copytree(model / "good", tmp_path / "model")
    sums = (model / "good" / c.DIGESTS_FILE).read_text().replace(c.STATE_FILE, "state\x1b[2J")
    (tmp_path / "model" / c.DIGESTS_FILE).write_text(sums)
    with pytest.raises(StepError, match=r"no state\\x1b\[2J in it"):
        load_predictor(tmp_path / "model", "1", 7)


def archive(path: Path, members: list[tuple[tarfile.TarInfo, bytes]]) -> Path:
    """A tar.gz with headers as given."""
    written = io.BytesIO()
    for info, data in members:
        written.write(info.tobuf(tarfile.GNU_FORMAT) + data + bytes(-len(data) % 512))
    path.write_bytes(gzip.compress(written.getvalue() + bytes(1024), 1))
    return path


def member(name: str, size: int, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = size, kind, target
    return info


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda name, data: [(member(name, len(data)), data)] * 2, "appears twice"),
        (lambda name, data: [(member(name, 10**12), data)], "not a plain file of a possible size"),
        (lambda name, data: [(member(name, len(data) + 10**6), data)], "unexpected end|too early"),
        (lambda name, data: [(member(name, len(data) // 2), data[: len(data) // 2])], "differs from SHA256SUMS"),
        (lambda name, data: [(member(name, 0, tarfile.SYMTYPE, "/etc/passwd"), b"")], "not a plain file"),
        (lambda name, data: [(member(name, 0, tarfile.LNKTYPE, name), b"")], "not a plain file"),
        (lambda name, data: [(member(f"../{name}", len(data)), data)], f"no {c.MODEL_FILE} in it"),
        (lambda name, data: [(member(str(n), 0), b"") for n in range(101)], "more than 100 members"),
    ],
)
def test_archives_that_were_made_to_harm(
    model: Path, tmp_path: Path, change: Callable[[str, bytes], list[tuple[tarfile.TarInfo, bytes]]], words: str
) -> None:
    rest = [(member(n, len(d)), d) for n in FILES if n != c.MODEL_FILE and (d := (model / "good" / n).read_bytes())]
    made = archive(
        tmp_path / "model.tar.gz", [*change(c.MODEL_FILE, (model / "good" / c.MODEL_FILE).read_bytes()), *rest]
    )
    with pytest.raises(StepError, match=words):
        read_artifact(made)


BOMB = """
import resource, sys
from pathlib import Path
from pipeline.training.artifact import read_artifact
try:
    read_artifact(Path(sys.argv[1]))
except Exception as error:
    print(type(error).__name__, error)
used = resource.getrusage(resource.RUSAGE_SELF)
# ru_maxrss would begin with that of the process that started this one.
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(int(peak.split()[1]) // 1024, used.ru_utime + used.ru_stime)
"""


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_model_that_is_large_only_unpacked_is_refused_within_seconds_and_a_gigabyte(
    tmp_path: Path, kind: bytes
) -> None:
    """11 MB that hold 2.5 GB: as a member, as a member's attributes, as its name."""
    block = gzip.compress(bytes(1 << 26), 9)
    header = member(c.MODEL_FILE, 40 << 26, kind).tobuf(tarfile.GNU_FORMAT)
    (tmp_path / "model.tar.gz").write_bytes(gzip.compress(header) + block * 40)
    done = subprocess.run(
        [sys.executable, "-c", BOMB, str(tmp_path / "model.tar.gz")], capture_output=True, text=True, check=True
    )
    sentence, used = done.stdout.strip().splitlines()
    assert sentence.startswith("StepError")
    assert "larger than 512 MiB unpacked" in sentence
    mebibytes, seconds = used.split()
    assert int(mebibytes) < 1024
    assert float(seconds) < 10


def champion_folder(model: Path, folder: Path, **metadata: object) -> Path:
    (folder / "1").mkdir(parents=True)
    shutil.copy(model / "good.tar.gz", folder / "1" / c.MODEL_ARCHIVE)
    known = {"version": 1, "artifact": "1/model.tar.gz", "lineage": {}, **metadata}
    (folder / c.CHAMPION_FILE).write_text(str(known).replace("'", '"').replace("None", "null"))
    return folder


def test_a_champion_of_another_versions_bytes_is_refused(model: Path, tmp_path: Path) -> None:
    folder = champion_folder(model, tmp_path / "champion", sha256=file_digest(model / "good.tar.gz"))
    assert load_champion(folder)
    shutil.copytree(model / "good", tmp_path / "other")
    (tmp_path / "other" / "note").write_text("a model that is as good as the other, but not the one that was approved")
    write_digests(tmp_path / "other")
    pack(tmp_path / "other", folder / "1" / c.MODEL_ARCHIVE)
    with pytest.raises(StepError, match=r"champion 1: .*not this version's.*approving version 1 again"):
        load_champion(folder)


def test_a_champion_without_digests_is_refused(model: Path, tmp_path: Path) -> None:
    shutil.copytree(model / "good", tmp_path / "old")
    (tmp_path / "old" / c.DIGESTS_FILE).unlink()
    pack(tmp_path / "old", tmp_path / "good.tar.gz")
    for sha256 in (None, file_digest(tmp_path / "good.tar.gz")):
        folder = champion_folder(tmp_path, tmp_path / f"champion{sha256}", sha256=sha256)
        with pytest.raises(StepError, match=f"no {c.DIGESTS_FILE} in it"):
            load_champion(folder)
