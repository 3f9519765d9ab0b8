"""Tarballs and trees of this machine, staged with a real git."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from builder.errors import FetchError, InputError, NoSpaceError
from builder.inputs import local
from builder.inputs.local import EPOCH, Tree, local_archive, tree_context

pytestmark = pytest.mark.host_programs


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "linux-6.12.tar.xz"
    with tarfile.open(path, "w:xz") as tar:
        tar.addfile(tarfile.TarInfo("linux-6.12/Makefile"))
    return path


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _no_links(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on two disks."""

    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(os, "link", refuse)


def test_an_archive_is_a_hard_link_alone_in_its_folder(archive: Path, cache: Path) -> None:
    path = local_archive(archive, sha256=None, cache=cache)
    assert path == cache / "sha256" / _digest(archive) / archive.name
    assert list(path.parent.iterdir()) == [path]
    assert path.samefile(archive)
    assert local_archive(archive, sha256=_digest(archive).upper(), cache=cache) == path


def test_an_archive_on_another_disk_is_copied(archive: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _no_links(monkeypatch)
    path = local_archive(archive, sha256=None, cache=cache)
    assert not path.samefile(archive)
    assert path.read_bytes() == archive.read_bytes()


def test_a_link_to_an_archive_keeps_the_name_that_was_given(archive: Path, cache: Path) -> None:
    link = archive.with_name("current.tar.xz")
    link.symlink_to(archive)
    path = local_archive(link, sha256=None, cache=cache)
    assert path.name == "current.tar.xz"
    assert not path.is_symlink()


def test_an_archive_that_was_overwritten_in_place(archive: Path, cache: Path) -> None:
    old = local_archive(archive, sha256=None, cache=cache)
    content = archive.read_bytes()
    with archive.open("r+b") as opened:
        opened.write(b"\x1f\x8b new")
    new = local_archive(archive, sha256=None, cache=cache)
    assert new != old
    other = archive.with_name("copy.tar.xz")
    other.write_bytes(content)
    again = local_archive(other, sha256=None, cache=cache)
    assert again.parent == old.parent
    assert again.read_bytes() == content


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_kinds_of_archives(tmp_path: Path, cache: Path, mode: Any) -> None:
    path = tmp_path / "linux.tar"
    with tarfile.open(path, mode) as tar:
        tar.addfile(tarfile.TarInfo("linux-6.12/Makefile"))
    assert local_archive(path, sha256=None, cache=cache).name == "linux.tar"


@pytest.mark.parametrize(
    ("content", "what"),
    [(b"", "the file is empty"), (b"<html>404</html>", "is no tar archive"), (b"PK\x03\x04" * 99, "is no tar archive")],
)
def test_no_archive(tmp_path: Path, cache: Path, content: bytes, what: str) -> None:
    path = tmp_path / "linux.tar.xz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=what) as caught:
        local_archive(path, sha256=None, cache=cache)
    assert caught.value.where == path
    assert caught.value.hint


def test_an_archive_that_is_not_there(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(InputError, match="No such file") as caught:
        local_archive(tmp_path / "none.tar", sha256=None, cache=cache)
    assert "relative to the project" in caught.value.hint
    with pytest.raises(InputError, match="this is a folder") as caught:
        local_archive(tmp_path, sha256=None, cache=cache)
    assert "source tree" in caught.value.hint


def test_an_archive_with_another_checksum(archive: Path, cache: Path) -> None:
    with pytest.raises(FetchError, match=f"its SHA-256 is {_digest(archive)}, not {'0' * 64}"):
        local_archive(archive, sha256="0" * 64, cache=cache)
    assert not cache.exists()


FILES = ["Kconfig", "Makefile", "scripts/run.sh", "include/deep/er/a.h"]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "linux"
    for name in FILES:
        _write(root, name)
    (root / "scripts/run.sh").chmod(0o755)
    (root / "link").symlink_to("include/deep")
    (root / "dangling").symlink_to("/nowhere")
    return root


def _write(root: Path, name: str, text: str | None = None) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(name if text is None else text)


def _git(tree: Path, *words: str, **env: str) -> None:
    argv = ["git", "-C", str(tree), "-c", "user.name=a", "-c", "user.email=a@example.org", *words]
    subprocess.run(argv, check=True, capture_output=True, env={**os.environ, **env})


def _commit(tree: Path) -> None:
    _git(tree, "init", "--quiet")
    _git(tree, "add", ".")
    _git(tree, "commit", "--quiet", "-m", "all", GIT_COMMITTER_DATE="1234567890 +0000")


def _names(staged: Tree) -> set[str]:
    return {
        str(path.relative_to(staged.folder))
        for path in staged.folder.rglob("*")
        if path.is_symlink() or not path.is_dir()
    }


ALL = {*FILES, "link", "dangling"}


def test_a_tree_without_git(tree: Path, cache: Path) -> None:
    _write(tree, "sub/.git/config")
    staged = tree_context(tree, cache=cache)
    assert _names(staged) == ALL
    assert staged.epoch == EPOCH
    assert staged.folder.is_relative_to(cache)
    assert (staged.folder / "link").readlink() == Path("include/deep")
    assert (staged.folder / "dangling").readlink() == Path("/nowhere")
    assert os.access(staged.folder / "scripts/run.sh", os.X_OK)
    assert (staged.folder / "Makefile").samefile(tree / "Makefile")


def test_what_buildkit_would_follow_is_left_out(tree: Path, cache: Path) -> None:
    """In folders below the top it follows none."""
    for name in (".dockerignore", "scripts/.dockerignore"):
        _write(tree, name)
    assert _names(tree_context(tree, cache=cache)) == {*ALL, "scripts/.dockerignore"}


def test_a_git_tree_without_what_git_ignores(tree: Path, cache: Path) -> None:
    _write(tree, ".gitignore", "*.o\n.*\n!.gitignore\n")
    _commit(tree)
    for name in ("a.o", ".config", "new.c", "include/deep/new.h"):
        _write(tree, name)
    (tree / "include/deep/er/a.h").unlink()
    staged = tree_context(tree, cache=cache)
    assert _names(staged) == (ALL | {".gitignore", "new.c", "include/deep/new.h"}) - {"include/deep/er/a.h"}
    assert staged.epoch == 1234567890


def test_a_git_tree_without_a_commit(tree: Path, cache: Path) -> None:
    _git(tree, "init", "--quiet")
    staged = tree_context(tree, cache=cache)
    assert _names(staged) == ALL
    assert staged.epoch == EPOCH


def test_a_repository_inside_a_git_tree(tree: Path, cache: Path) -> None:
    _commit(tree)
    _write(tree, "drivers/out/of.c")
    _commit(tree / "drivers/out")
    assert _names(tree_context(tree, cache=cache)) == ALL | {"drivers/out/of.c"}


def test_a_folder_that_became_a_link_leads_nowhere_outside(tree: Path, cache: Path, tmp_path: Path) -> None:
    """git still knows `scripts/run.sh`, which now is a file beyond the link."""
    _commit(tree)
    tree_context(tree, cache=cache)
    (tree / "scripts").rename(tmp_path / "outside")
    (tree / "scripts").symlink_to(tmp_path / "outside")
    staged = tree_context(tree, cache=cache)
    assert _names(staged) == (ALL | {"scripts"}) - {"scripts/run.sh"}
    assert (staged.folder / "scripts").is_symlink()
    assert (tmp_path / "outside/run.sh").read_text() == "scripts/run.sh"


@pytest.mark.parametrize("linked", [True, False])
def test_the_staged_tree_follows_the_tree(
    tree: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, linked: bool
) -> None:
    if not linked:
        _no_links(monkeypatch)
    before = tree_context(tree, cache=cache).folder
    (tree / "Kconfig").write_text("edited in place")
    (tree / "Makefile").unlink()
    _write(tree, "Makefile", "a new file of the same name")
    (tree / "scripts/run.sh").chmod(0o644)
    (tree / "include/deep/er/a.h").unlink()
    (tree / "link").unlink()
    (tree / "link").symlink_to("include")
    (tree / "dangling").unlink()
    _write(tree, "dangling/now/a/folder")
    staged = tree_context(tree, cache=cache)
    assert staged.folder == before
    assert _names(staged) == {"Kconfig", "Makefile", "scripts/run.sh", "link", "dangling/now/a/folder"}
    assert (before / "Kconfig").read_text() == "edited in place"
    assert (before / "Makefile").read_text() == "a new file of the same name"
    assert not os.access(before / "scripts/run.sh", os.X_OK)
    assert (before / "link").readlink() == Path("include")
    assert not (before / "include/deep/er").exists()
    (tree / "dangling/now/a/folder").unlink()
    for folder in ("dangling/now/a", "dangling/now", "dangling"):
        (tree / folder).rmdir()
    _write(tree, "dangling", "a file")
    assert "dangling" in _names(tree_context(tree, cache=cache))


def test_a_staged_file_is_never_absent(tree: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another build may be sending it: BuildKit has an empty file for one that vanishes."""
    before = tree_context(tree, cache=cache)
    staged = before.folder / "Kconfig"
    (tree / "Kconfig").unlink()
    _write(tree, "Kconfig", "another")
    placed = local._link_or_copy

    def place(source: Path, target: Path) -> None:
        assert staged.read_text() != "another"
        placed(source, target)
        assert _names(before) == ALL

    monkeypatch.setattr(local, "_link_or_copy", place)
    tree_context(tree, cache=cache)
    assert staged.read_text() == "another"
    assert _names(tree_context(tree, cache=cache)) == ALL


def test_what_did_not_change_is_left_alone(tree: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _no_links(monkeypatch)
    folder = tree_context(tree, cache=cache).folder
    before = {name: (folder / name).lstat() for name in ALL}
    (tree / "Kconfig").write_text("changed")
    tree_context(tree, cache=cache)
    after = {name: (folder / name).lstat() for name in ALL}
    assert {name for name in ALL if before[name].st_ino != after[name].st_ino or name == "Kconfig"} <= {"Kconfig"}
    assert (folder / "Kconfig").read_text() == "changed"


@pytest.mark.parametrize("links", [True, False])
def test_what_was_written_without_a_new_time(
    tree: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    """BuildKit goes by size and time, too."""
    if not links:
        _no_links(monkeypatch)
    file = tree / "Kconfig"
    file.write_text("one")
    staged = tree_context(tree, cache=cache).folder / "Kconfig"
    seen = []
    for text in ("two", "six", "ten"):
        before = file.stat()
        seen.append(staged.stat().st_mtime_ns)
        file.write_text(text)
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
        for _ in range(2):
            tree_context(tree, cache=cache)
            assert staged.read_text() == text
            assert staged.stat().st_mtime_ns != seen[-1]
    kept = staged.stat()
    (tree / "Makefile").write_text("another")
    tree_context(tree, cache=cache)
    assert staged.stat() == kept


def test_two_trees_do_not_mix(tree: Path, cache: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    _write(other, "Makefile")
    _write(other, "Kconfig")
    assert tree_context(tree, cache=cache).folder != tree_context(other, cache=cache).folder


def test_no_kernel_tree(tmp_path: Path, cache: Path, archive: Path) -> None:
    with pytest.raises(InputError, match="it has no Makefile and Kconfig"):
        tree_context(tmp_path, cache=cache)
    with pytest.raises(InputError, match="it has no Makefile and Kconfig") as caught:
        tree_context(archive, cache=cache)
    assert "source tarball" in caught.value.hint
    with pytest.raises(InputError, match="No such file"):
        tree_context(tmp_path / "none", cache=cache)


def test_a_tree_with_something_else_than_files(tree: Path, cache: Path) -> None:
    os.mkfifo(tree / "pipe")
    with pytest.raises(InputError, match="neither a file nor a link") as caught:
        tree_context(tree, cache=cache)
    assert caught.value.where == tree / "pipe"


def test_a_broken_repository(tree: Path, cache: Path) -> None:
    (tree / ".git").write_text("gitdir: /nowhere\n")
    with pytest.raises(InputError, match=r"git .* failed") as caught:
        tree_context(tree, cache=cache)
    assert "git must be able to list the tree" in caught.value.hint


def test_a_tree_that_git_ignores(tree: Path, cache: Path) -> None:
    """As the top of Debian's linux-source packages, whose .gitignore ends in `/*`."""
    _write(tree, ".gitignore", "/*\n")
    _git(tree, "init", "--quiet")
    with pytest.raises(InputError, match="git ignores this tree's Makefile") as caught:
        tree_context(tree, cache=cache)
    assert ".gitignore" in caught.value.hint


def test_a_file_name_that_is_not_text(tree: Path, cache: Path) -> None:
    _commit(tree)
    (tree / os.fsdecode(b"caf\xe9")).touch()
    with pytest.raises(InputError, match="is not UTF-8"):
        tree_context(tree, cache=cache)


def test_a_full_disk(tree: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "file")

    monkeypatch.setattr(os, "symlink", full)
    with pytest.raises(NoSpaceError) as caught:
        tree_context(tree, cache=cache)
    assert caught.value.where == cache
