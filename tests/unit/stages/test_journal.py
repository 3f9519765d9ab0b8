from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from builder.stages import journal
from builder.stages.journal import Changes


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "tree/net").mkdir(parents=True)
    for name in ("a.c", "net/b.c", "net/b.h"):
        (tmp_path / "tree" / name).write_text(f"/* {name} */\n")
        os.utime(tmp_path / "tree" / name, (1000, 1000))
    (tmp_path / "tree/link").symlink_to("a.c")
    return tmp_path / "tree"


def rewrite(path: Path, text: str) -> None:
    """Change a file and give it its old time again."""
    before = path.stat()
    path.write_text(text)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_content_is_what_counts(tree: Path) -> None:
    first = journal.read_tree(tree, {})
    rewrite(tree / "a.c", "/* A.c */\n")  # the same size and time
    os.utime(tree / "net/b.c")
    second = journal.read_tree(tree, first)
    assert journal.compare(first, second) == Changes(changed=frozenset({"a.c"}))


def test_what_comes_and_goes(tree: Path) -> None:
    first = journal.read_tree(tree, {})
    (tree / "net/b.h").unlink()
    (tree / "net/c.h").touch()
    (tree / "link").unlink()
    (tree / "link").symlink_to("net/b.c")
    (tree / "a.c").chmod(0o755)
    changes = journal.compare(first, journal.read_tree(tree, first))
    assert changes.added == {"net/c.h"}
    assert changes.removed == {"net/b.h"}
    assert changes.changed == {"link", "a.c"}
    assert changes.all == {"net/c.h", "net/b.h", "link", "a.c"}


def test_an_unchanged_file_is_not_read_again(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = journal.read_tree(tree, {})
    rewrite(tree / "net/b.h", "/* x */\n")
    read: list[str] = []
    content = journal._content

    def reading(path: str) -> bytes:
        read.append(path)
        return content(path)

    monkeypatch.setattr(journal, "_content", reading)
    journal.read_tree(tree, first)
    assert read == [f"{tree}/net/b.h"]


def test_times_follow_content(tree: Path) -> None:
    floor, later = 2000 * 10**9, 3000 * 10**9
    first = journal.read_tree(tree, {})
    (tree / "a.c").write_text("changed\n")  # dated now, long after
    second = journal.read_tree(tree, first)
    dated = journal.dated(first, second, journal.compare(first, second), later)
    os.utime(tree / "net/b.c")  # as a patch does that is applied again
    third = journal.read_tree(tree, dated)
    again = journal.dated(dated, third, journal.compare(dated, third), later + 1)
    assert journal.set_times(tree, again, floor) == 2
    assert (tree / "a.c").stat().st_mtime_ns == later
    assert (tree / "net/b.c").stat().st_mtime_ns < floor
    assert (tree / "net/b.h").stat().st_mtime == 1000


def test_a_journal_survives_json(tree: Path) -> None:
    found = journal.read_tree(tree, {})
    assert journal.parse(json.loads(json.dumps(journal.dump(found)))) == found


def test_files_that_are_asked_for(tree: Path) -> None:
    (tree / "a.c").write_text('#if __has_include("new.h")\n#include "new.h"\n#endif\n')
    found = journal.read_tree(tree, {})
    assert found["a.c"].asks
    assert not found["net/b.c"].asks
    assert journal.asked_for(tree, found, ["net/new.h", "net/other.h"]) == ["net/new.h"]
