from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from builder.stages import journal
from builder.stages.journal import Changes, Entry


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "tree/net").mkdir(parents=True)
    for name in ("a.c", "net/b.c", "net/b.h"):
        (tmp_path / "tree" / name).write_text(f"/* {name} */\n")
        os.utime(tmp_path / "tree" / name, (1000, 1000))
    (tmp_path / "tree/link").symlink_to("a.c")
    return tmp_path / "tree"


def text(tree: Path) -> str:
    return journal.dump(journal.read_tree(tree))


def rewrite(path: Path, text: str) -> None:
    """Change a file and give it its old time again."""
    before = path.stat()
    path.write_text(text)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_content_is_what_counts(tree: Path) -> None:
    first = text(tree)
    rewrite(tree / "a.c", "/* A.c */\n")  # the same size and time
    os.utime(tree / "net/b.c")
    assert journal.compare(first, text(tree)) == Changes(changed=frozenset({"a.c"}))


def test_lines_that_differ_are_known_where_the_paths_are_the_same(tree: Path) -> None:
    (tree / "new\nline").write_text("1")
    first = text(tree)
    rewrite(tree / "a.c", "/* A.c */\n")
    os.utime(tree / "net/b.c")
    (tree / "new\nline").chmod(0o755)
    second = text(tree)
    assert journal.changed_paths(first, second) == {"a.c", "net/b.c", "new\nline"}
    assert journal.changed_paths(second, second) == set()
    parsed = journal.parse(second)
    assert journal.entries_of(second, {"a.c", "new\nline", "none"}) == {
        path: parsed[path] for path in ("a.c", "new\nline")
    }
    (tree / "net/b.h").rename(tree / "net/c.h")
    assert journal.changed_paths(second, text(tree)) is None


def test_what_comes_and_goes(tree: Path) -> None:
    first = text(tree)
    (tree / "net/b.h").unlink()
    (tree / "net/c.h").touch()
    (tree / "link").unlink()
    (tree / "link").symlink_to("net/b.c")
    (tree / "a.c").chmod(0o755)
    changes = journal.compare(first, text(tree))
    assert changes.added == {"net/c.h"}
    assert changes.removed == {"net/b.h"}
    assert changes.changed == {"link", "a.c"}
    assert changes.all == {"net/c.h", "net/b.h", "link", "a.c"}


def _written_in_place(tree: Path) -> None:
    rewrite(tree / "a.c", "/* A.c */\n")


def _removed_with_its_folder(tree: Path) -> None:
    shutil.rmtree(tree / "net")


def _made(tree: Path) -> None:
    (tree / "net/deep/er").mkdir(parents=True)
    (tree / "net/deep/er/x.h").write_text('#if __has_include("a.c")\n#endif\n')


def _executable(tree: Path) -> None:
    (tree / "net/b.c").chmod(0o755)


def _a_folder_for_a_file(tree: Path) -> None:
    (tree / "a.c").unlink()
    (tree / "a.c").mkdir()
    (tree / "a.c/x").touch()


def _another_target(tree: Path) -> None:
    (tree / "link").unlink()
    (tree / "link").symlink_to("net")


def _nothing(tree: Path) -> None:
    del tree


@pytest.mark.parametrize(
    ("change", "paths"),
    [
        (_written_in_place, {"a.c"}),
        (_removed_with_its_folder, {"net/b.c", "net/b.h"}),
        (_made, {"net/deep/er/x.h", "net", "none"}),
        (_executable, {"net/b.c"}),
        (_a_folder_for_a_file, {"a.c", "a.c/x"}),
        (_another_target, {"link"}),
        (_nothing, {"a.c", "net", "none/x"}),
    ],
)
def test_what_was_touched_is_read_and_nothing_else(
    tree: Path, change: Callable[[Path], None], paths: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = text(tree)
    change(tree)
    read: list[str] = []
    content = journal.content

    def reading(path: str) -> bytes:
        read.append(path)
        return content(path)

    with monkeypatch.context() as patched:
        patched.setattr(journal, "content", reading)
        after = journal.update(tree, before, paths)
    assert after == text(tree)
    assert {path.removeprefix(f"{tree}/") for path in read} <= paths
    assert (after == before) == (change is _nothing)


def test_times_follow_content(tree: Path) -> None:
    floor, later = 2000 * 10**9, 3000 * 10**9
    (tree / "a.c").write_text("changed\n")  # dated now, long after
    os.utime(tree / "net/b.c")  # as a patch does that is applied again
    assert journal.set_times(tree, journal.read_tree(tree), {"a.c": later}, floor) == 2
    assert (tree / "a.c").stat().st_mtime_ns == later
    assert (tree / "net/b.c").stat().st_mtime_ns < floor
    assert (tree / "net/b.h").stat().st_mtime == 1000


@pytest.mark.parametrize("name", ["with space", "back\\slash", "line\nend", "\udcff", "ümlaut", "ü\\n", "a\x85b", " "])
def test_a_journal_survives_as_text(tree: Path, tmp_path: Path, name: str) -> None:
    (tree / name).write_text("x\n")
    found = journal.read_tree(tree)
    assert name in found
    journal.write(tmp_path / "journal", journal.dump(found))
    assert journal.parse(journal.read(tmp_path / "journal")) == found


def test_an_entry_says_what_a_file_is(tree: Path) -> None:
    found = journal.read_tree(tree)
    assert found["a.c"] == Entry(found["a.c"].digest, 0o644, 10, 1000 * 10**9)
    assert found["link"].link


def test_files_that_are_asked_for(tree: Path) -> None:
    (tree / "a.c").write_text('#if __has_include("new.h")\n#include <net/new.h>\n#endif\n')
    found = journal.read_tree(tree)
    assert found["a.c"].asks
    assert not found["net/b.c"].asks
    assert journal.asked_for(tree, found, ["net/new.h", "net/other.h"]) == ["net/new.h"]
