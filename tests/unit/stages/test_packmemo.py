"""What is known of an archive is no more than a shorter way to the same bytes."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.stages import journal, pack
from builder.stages import members as archive
from builder.stages.packmemo import Memo

TOP = "linux-6.12"


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "CUT", 4)
    monkeypatch.setattr(archive, "CAP", 2048)
    monkeypatch.setattr(archive, "PIECE", 512)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Forty files, a link, and an empty folder."""
    root = tmp_path / "root"
    for number in range(40):
        path = root / f"{number % 5}/deep/file{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(random.Random(number).randbytes(number * 40))
    (root / "link").symlink_to("0/deep/file0")
    (root / "empty").mkdir()
    return root


class Packer:
    """Packs a folder with what is known of it, and compares with a pack that knows nothing."""

    def __init__(self, root: Path, cache: Path) -> None:
        self.root = root
        self.cache = cache
        self.recalled: list[bool] = []

    def __call__(self, *, epoch: int = 1, top: str = TOP) -> bool:
        """Whether it was known."""
        roots, text = [self.root], journal.dump(journal.read_tree(self.root))
        recall, known = Memo.recall, list[bool]()

        def noting(memo: Memo) -> object:
            found = recall(memo)
            known.append(found is not None)
            return found

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Memo, "recall", noting)
            made = pack.pack(roots, None, epoch=epoch, top=top, compression="gzip", cache=self.cache, journal=text)
        plain = pack.pack(roots, None, epoch=epoch, top=top, compression="gzip")
        assert (made.size, made.sha256) == (plain.size, plain.sha256)
        assert [(part.size, part.sha256) for part in made.parts] == [(part.size, part.sha256) for part in plain.parts]
        (was,) = known
        return was


@pytest.fixture
def packer(root: Path, tmp_path: Path) -> Packer:
    return Packer(root, tmp_path / "cache")


def edit_file(root: Path) -> None:
    (root / "3/deep/file13").write_bytes(b"another length")


def edit_many(root: Path) -> None:
    for path in root.rglob("file?"):
        path.write_bytes(path.read_bytes() + b"x")


def edit_mode(root: Path) -> None:
    (root / "3/deep/file13").chmod(0o755)


def edit_link(root: Path) -> None:
    (root / "link").unlink()
    (root / "link").symlink_to("1/deep/file1")


def link_to_file(root: Path) -> None:
    (root / "link").unlink()
    (root / "link").write_text("a file")


def edit_time(root: Path) -> None:
    os.utime(root / "3/deep/file13", (5, 5))


def edit_nothing(root: Path) -> None:
    pass


@pytest.mark.parametrize(
    "edit",
    [edit_file, edit_many, edit_mode, edit_link, link_to_file, edit_time, edit_nothing],
    ids=lambda each: each.__name__,
)
def test_what_changed_is_packed_anew_and_known_then(packer: Packer, edit: Callable[[Path], None]) -> None:
    assert [packer(), packer()] == [False, True]
    edit(packer.root)
    assert [packer(), packer()] == [True, True]


def add_file(root: Path) -> None:
    (root / "3/new").write_text("new")


def remove_file(root: Path) -> None:
    (root / "3/deep/file13").unlink()


def add_empty(root: Path) -> None:
    (root / "3/void").mkdir()


def remove_empty(root: Path) -> None:
    (root / "empty").rmdir()


def empty_to_file(root: Path) -> None:
    (root / "empty").rmdir()
    (root / "empty").write_text("")


def file_to_empty(root: Path) -> None:
    (root / "3/deep/file13").unlink()
    (root / "3/deep/file13").mkdir()


@pytest.mark.parametrize(
    "edit",
    [add_file, remove_file, add_empty, remove_empty, empty_to_file, file_to_empty],
    ids=lambda each: each.__name__,
)
def test_where_a_name_came_or_went_all_is_looked_at(packer: Packer, edit: Callable[[Path], None]) -> None:
    packer()
    edit(packer.root)
    assert [packer(), packer()] == [False, True]


def test_another_archive_is_another_memory(packer: Packer) -> None:
    assert not packer()
    assert not packer(epoch=2)
    assert not packer(top=".")
    assert packer() and packer(epoch=2) and packer(top=".")
    (packer.root / "void").mkdir()
    assert not packer(top=".")


def test_chunks_that_are_lost_are_made_again(packer: Packer) -> None:
    packer()
    for size in (0, 40):
        for path in sorted(packer.cache.glob("*.chunk"))[::2]:
            if path.stat().st_size < 4096:  # the memory itself is larger
                path.write_bytes(path.read_bytes()[:size])
        assert packer()


def test_a_memory_that_is_damaged_is_none(packer: Packer) -> None:
    packer()
    largest = max(packer.cache.glob("*.chunk"), key=lambda path: path.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:-1] + b"x")
    assert [packer(), packer()] == [False, True]


def test_what_the_journal_lacks_is_never_known(root: Path, tmp_path: Path) -> None:
    text = journal.dump(journal.read_tree(root))
    (root / "later").write_text("1")
    sums = set()
    for content in ("1", "2"):
        (root / "later").write_text(content)
        made = pack.pack([root], None, epoch=1, compression="gzip", cache=tmp_path / "cache", journal=text)
        assert made.sha256 == pack.pack([root], None, epoch=1, compression="gzip").sha256
        sums.add(made.sha256)
    assert len(sums) == 2


NAMES = st.text("ab.é", min_size=1, max_size=3).filter(lambda name: name.strip("."))
TREES = st.dictionaries(st.tuples(NAMES, NAMES), st.binary(max_size=3000), max_size=12)


@settings(max_examples=60, deadline=None)
@given(st.lists(TREES, min_size=2, max_size=4))
def test_any_trees_one_after_the_other(trees: list[dict[tuple[str, str], bytes]]) -> None:
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        for constant, value in (("CUT", 2), ("CAP", 2048), ("PIECE", 512)):
            patch.setattr(archive, constant, value)
        packer = Packer(Path(name, "root"), Path(name, "cache"))
        for tree in trees:
            shutil.rmtree(packer.root, ignore_errors=True)
            packer.root.mkdir()
            for (folder, file), content in tree.items():
                (packer.root / folder).mkdir(exist_ok=True)
                (packer.root / folder / file).write_bytes(content)
            packer()
            assert not tree or packer()
