"""What was summed up ahead is believed of the very same file only."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from builder.inputs.store import file_sha256
from builder.summing import Sums, summed_ahead


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture
def summed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that have been read, in their order."""
    read = []

    def watched(path: Path) -> str:
        read.append(path)
        return file_sha256(path)

    monkeypatch.setattr("builder.summing.file_sha256", watched)
    return read


def test_nothing_is_read_twice(tmp_path: Path, summed: list[Path]) -> None:
    """Also under another name, and when it is asked for after the block."""
    (tmp_path / "one").write_text("1")
    (tmp_path / "two").write_text("2")
    with summed_ahead([tmp_path / "one", tmp_path / "two", tmp_path / "none"]) as known:
        assert known.sha256(tmp_path / "two") == sha256("2")
        os.link(tmp_path / "one", tmp_path / "again")
        assert known.sha256(tmp_path / "again") == sha256("1")
    assert known.sha256(tmp_path / "one") == sha256("1")
    assert summed == [tmp_path / "one", tmp_path / "two"]


def test_a_file_that_has_changed_since(tmp_path: Path, summed: list[Path]) -> None:
    for name in ("written", "replaced", "longer"):
        (tmp_path / name).write_text("old")
        os.utime(tmp_path / name, (1, 1))
    with summed_ahead(sorted(tmp_path.iterdir())) as known:
        known.sha256(tmp_path / "written")
        (tmp_path / "written").write_text("new")
        (tmp_path / "other").write_text("new")
        os.utime(tmp_path / "other", (1, 1))
        (tmp_path / "other").replace(tmp_path / "replaced")
        (tmp_path / "longer").write_text("news")
        os.utime(tmp_path / "longer", (1, 1))
        assert known.sha256(tmp_path / "written") == sha256("new")
        assert known.sha256(tmp_path / "replaced") == sha256("new")
        assert known.sha256(tmp_path / "longer") == sha256("news")
    assert len(summed) == 6


def test_a_file_that_is_written_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("old")

    def written(path: Path) -> str:
        digest = file_sha256(path)
        path.write_text("newer")
        return digest

    monkeypatch.setattr("builder.summing.file_sha256", written)
    with summed_ahead(sorted(tmp_path.iterdir())) as known:
        assert known.sha256(tmp_path / "file") == sha256("newer")


def test_a_block_that_ends_at_once(tmp_path: Path) -> None:
    for number in range(50):
        (tmp_path / str(number)).write_text(str(number))
    with summed_ahead(sorted(tmp_path.iterdir())) as known:
        pass
    assert [known.sha256(tmp_path / str(number)) for number in range(50)] == [sha256(str(n)) for n in range(50)]


def test_a_file_that_is_noted(tmp_path: Path, summed: list[Path]) -> None:
    """Another one that takes its place is read."""
    known, file = Sums(), tmp_path / "file"
    file.write_text("old")
    known.note(file)
    file.rename(tmp_path / "renamed")
    assert known.sha256(tmp_path / "renamed") == sha256("old")
    assert summed == [file]
    (tmp_path / "renamed").write_text("newer")
    assert known.sha256(tmp_path / "renamed") == sha256("newer")
    known.note(tmp_path / "none")


def test_nothing_known(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert Sums().sha256(tmp_path / "file") == sha256("x")
    with pytest.raises(FileNotFoundError):
        Sums().sha256(tmp_path / "none")
