"""What is packed into the kernel is packed anew, and has times that do not depend on when it was written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from builder.stages import initramfs

EPOCH = 1_600_000_000


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("tree/root/etc/shadow", "tree/root/init", "tree/root.cpio.gz", "tree/other.c", "obj/usr/Makefile"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "tree/root/link").symlink_to("/etc/passwd")
    (tmp_path / "tree/list").write_text(f"# a list\ndir /etc 0755 0 0\nfile /c {tmp_path}/tree/other.c 0644 0 0\n")
    for name in ("initramfs_data.o", "initramfs_inc_data", ".initramfs_data.cpio.cmd"):
        (tmp_path / "obj/usr" / name).touch()
    return tmp_path / "tree"


@pytest.mark.parametrize(
    ("names", "dated"),
    [
        ("{tree}/root", {"root/etc/shadow", "root/init"}),
        ("{tree}/root.cpio.gz", set()),
        ("{tree}/list", {"list", "other.c"}),
        ("root.cpio.gz root", {"root/etc/shadow", "root/init"}),
        ("absent", set()),
    ],
)
def test_what_is_named(tree: Path, names: str, dated: set[str]) -> None:
    obj, config = tree.parent / "obj", f'CONFIG_INITRAMFS_SOURCE="{names.format(tree=tree)}"\n'
    initramfs.prepare(config, tree, obj, EPOCH)
    found = {str(path.relative_to(tree)) for path in tree.rglob("*") if path.lstat().st_mtime == EPOCH}
    assert found == dated
    assert [path.name for path in (obj / "usr").iterdir()] == ["Makefile"]
    assert Path("/etc/passwd").stat().st_mtime != EPOCH


@pytest.mark.parametrize("config", ["", 'CONFIG_INITRAMFS_SOURCE=""\n', '# CONFIG_INITRAMFS_SOURCE="x"\n'])
def test_nothing_is_named(tree: Path, config: str) -> None:
    initramfs.prepare(config, tree, tree.parent / "obj", EPOCH)
    assert len(list((tree.parent / "obj/usr").iterdir())) == 4
    assert initramfs.names(config) == []


def test_modes_stay(tree: Path) -> None:
    (tree / "root/init").chmod(0o4755)
    initramfs.prepare(f'CONFIG_INITRAMFS_SOURCE="{tree}/root"', tree, tree.parent / "obj", EPOCH)
    assert os.stat(tree / "root/init").st_mode & 0o7777 == 0o4755  # noqa: PTH116
