"""Every entry of a data folder is a file to read, or is named with the reason why it is not."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.ingest.files import data_folder
from pipeline.ingest.files.data_folder import (
    NOT_UPLOADED_FILE,
    FolderError,
    LeftOut,
    look_into,
    not_uploaded_as_json,
    printable,
    read_not_uploaded,
)


@pytest.fixture
def unprivileged_folder() -> Iterator[Path]:
    """An empty folder outside pytest's, which only its owner may enter; who is root here is another user meanwhile."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)
        try:
            yield Path(folder)
        finally:
            os.seteuid(user)


def names(folder: Path) -> tuple[list[str], dict[str, str]]:
    found = look_into(folder)
    return [file.name for file in found.files], {left.name: left.reason for left in found.left_out}


def test_files_of_folders_are_read_and_hidden_ones_are_named(tmp_path: Path) -> None:
    for name in ("b.csv", "deep/er/a.CSV", "README.md", ".DS_Store", "_SUCCESS", ".git/objects/x", "_tmp/a.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    read, left_out = names(tmp_path)
    assert read == ["README.md", "b.csv", "deep/er/a.CSV"]
    assert sorted(left_out) == [".DS_Store", ".git/", "_SUCCESS", "_tmp/"]
    assert [file.name for file in look_into(tmp_path).files if file.is_data] == ["b.csv", "deep/er/a.CSV"]


def test_what_is_no_regular_file_is_named_and_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a socket is short
    os.mkfifo("pipe.csv")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.csv")
        Path("gone.csv").symlink_to("nowhere.csv")
        Path("self.csv").symlink_to("self.csv")
        Path("null.csv").symlink_to("/dev/null")
        read, left_out = names(tmp_path)
    assert read == []
    assert {name: reason.partition(" (")[0] for name, reason in left_out.items()} == {
        "pipe.csv": "is a pipe",
        "socket.csv": "is a socket",
        "gone.csv": "is a link to nothing",
        "self.csv": "cannot be looked at",
        "null.csv": "is a device",
    }


def test_linked_folders_are_followed_once(tmp_path: Path) -> None:
    data, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    (data / "seasons").mkdir(parents=True)
    elsewhere.mkdir()
    (data / "seasons" / "a.csv").touch()
    (elsewhere / "b.csv").touch()
    (data / "again").symlink_to("seasons")  # a link to a folder that is there: read under its own name
    (data / "seasons" / "cycle").symlink_to("..")
    (data / "above").symlink_to(tmp_path)
    (data / "linked").symlink_to(elsewhere)
    (data / "twice").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(data)
    read, left_out = names(data)
    assert read == ["linked/b.csv", "seasons/a.csv"]
    assert sorted(left_out) == ["above/", "again/", "linked/back/", "seasons/cycle/", "twice/"]
    assert set(left_out.values()) == {"is a link to a folder that is read already, or that holds this one"}
    assert look_into(data).linked == {"linked/": str(elsewhere)}


def test_a_folder_without_permission_is_named(unprivileged_folder: Path) -> None:
    (unprivileged_folder / "closed").mkdir(mode=0o000)
    assert "check its permissions" in names(unprivileged_folder)[1]["closed/"]


def test_a_folder_that_cannot_be_listed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "closed").mkdir()
    listing = os.scandir

    def refuse(path: Path) -> object:
        if path.name == "closed":
            raise PermissionError(13, "Permission denied")
        return listing(path)

    monkeypatch.setattr(data_folder.os, "scandir", refuse)
    assert names(tmp_path) == ([], {"closed/": "cannot be looked into (Permission denied); check its permissions"})


def test_too_many_entries_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_folder, "MAX_ENTRIES", 3)
    for number in range(4):
        (tmp_path / f"{number}.csv").touch()
    with pytest.raises(
        FolderError, match="holds more than 3 files and folders; give a folder that holds the data alone"
    ):
        look_into(tmp_path)


def test_names_are_printable(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"a\xff\x1b[2J.csv")).touch()
    (name,), _ = names(tmp_path)
    assert name == "a\\udcff\\x1b[2J.csv" and name.encode() and printable(name) == name


def test_two_names_that_are_written_alike_are_refused(tmp_path: Path) -> None:
    for name in ("a\n.csv", r"a\n.csv"):
        (tmp_path / name).touch()
    with pytest.raises(FolderError, match=r"two files are both written a\\n\.csv, .*; rename one"):
        look_into(tmp_path)


@pytest.mark.timeout(10)  # to open a pipe waits for ever
def test_a_pipe_in_the_place_of_an_uploaders_file_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / NOT_UPLOADED_FILE)
    assert read_not_uploaded(tmp_path) == ([], {})
    assert list(names(tmp_path)[1]) == [NOT_UPLOADED_FILE]


def test_what_an_uploader_left_out_is_read_back(tmp_path: Path) -> None:
    assert read_not_uploaded(tmp_path) == ([], {})
    left_out, linked = [LeftOut("pipe.csv", "is a pipe")], {"linked/": "/elsewhere"}
    (tmp_path / NOT_UPLOADED_FILE).write_text(not_uploaded_as_json(left_out, linked))
    assert read_not_uploaded(tmp_path) == (left_out, linked)
    assert names(tmp_path) == ([], {})
    for other in ("[1]", "[" * 100_000):
        (tmp_path / NOT_UPLOADED_FILE).write_text(other)
        assert [item.name for item in read_not_uploaded(tmp_path)[0]] == [NOT_UPLOADED_FILE]
