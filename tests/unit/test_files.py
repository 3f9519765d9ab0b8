from __future__ import annotations

import os
import signal
import tarfile
import threading
from pathlib import Path
from typing import Any

import pytest

from builder.files import replace_files, uninterrupted, unpack_tar


@pytest.mark.parametrize("filters", [True, False])
def test_archives_are_unpacked_by_every_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, filters: bool) -> None:
    """Debian 12's Python 3.11.2 has no filters, and does not know the argument."""
    (tmp_path / "file").write_text("text")
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.add(tmp_path / "file", "folder/file")
    if not filters:
        extract = tarfile.TarFile.extractall

        def older(self: tarfile.TarFile, path: str | Path = ".", **other: Any) -> None:
            assert other == {}
            extract(self, path)

        monkeypatch.delattr(tarfile, "data_filter", raising=False)
        monkeypatch.setattr(tarfile.TarFile, "extractall", older)
    unpack_tar(tmp_path / "a.tar", tmp_path / "out")
    assert (tmp_path / "out/folder/file").read_text() == "text"


def test_a_signal_waits_whichever_thread_gets_it() -> None:
    came: list[str] = []
    before = signal.signal(signal.SIGTERM, lambda *_: came.append("stopped"))
    try:
        with uninterrupted():
            thread = threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGTERM))
            thread.start()
            thread.join()
            came.append("done")
    finally:
        signal.signal(signal.SIGTERM, before)
    assert came == ["done", "stopped"]


def test_files_are_replaced_together_or_not_at_all(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "folder/second"
    first.write_text("old")
    first.chmod(0o640)
    with pytest.raises(FileNotFoundError):
        replace_files({first: b"new", second: b"new"})
    assert first.read_text() == "old" and [path.name for path in tmp_path.iterdir()] == ["first"]
    second.parent.mkdir()
    replace_files({first: b"new", second: b"new"})
    assert (first.read_text(), second.read_text()) == ("new", "new") and first.stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["first", "folder", "second"]
