"""A compile that ran out of disk at any point leaves nothing behind that the next one would go wrong on."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.stages import faketree

pytestmark = pytest.mark.host_programs


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, for the object tree and nothing else."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "rosk-test", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


def resize(disk: Path, size: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", disk], check=True)


def contents(folder: Path) -> dict[str, bytes]:
    names = ("boot", "modules", "objtree")
    found = (path for name in names for path in (folder / name).rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def compile_in(disk: Path, tree: Path, work: Path) -> subprocess.CompletedProcess[str]:
    arguments = [disk / "obj" if word == work / "obj" else word for word in faketree.compile_arguments(tree, work)]
    shutil.rmtree(work / "out", ignore_errors=True)
    return faketree.run_stage("compile", *arguments)


@pytest.mark.parametrize("free", [0, 4096, 30_000, 150_000, 400_000])
def test_an_object_tree_that_filled_its_disk(compiled: Path, tmp_path: Path, disk: Path, free: int) -> None:
    work, tree = tmp_path / "work", tmp_path / "tree"
    shutil.copytree(faketree.TREE, tree, symlinks=True)
    shutil.copytree(compiled / "configured", work / "configured")
    assert compile_in(disk, tree, work).returncode == 0
    before = contents(work / "out")

    header = tree / "include/linux/fake.h"
    text = header.read_text()
    header.write_text(text.replace("LEVEL 1", "LEVEL 5"))
    # Each object grows, so that less than the whole of what changed fits.
    (tree / "lib/string.c").write_text(f"{(tree / 'lib/string.c').read_text()}\nint more[100000] = {{1}};\n")
    used = shutil.disk_usage(disk).used
    resize(disk, used + free)
    failed = compile_in(disk, tree, work)
    assert failed.returncode == 1, failed.stdout
    assert "Traceback" not in failed.stderr

    # The disk has room again, and the sources are what they were.
    resize(disk, 64 << 20)
    header.write_text(text)
    shutil.copyfile(faketree.TREE / "lib/string.c", tree / "lib/string.c")
    done = compile_in(disk, tree, work)
    assert done.returncode == 0, done.stdout
    assert contents(work / "out") == before
