"""The tags of a checkout, from the files of its repository."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.importing.gitrefs import tags_at_head

HEAD, OTHER, TAG = "1" * 40, "2" * 40, "3" * 40
PACKED = (
    "# pack-refs with: peeled fully-peeled sorted \n"
    f"{HEAD} refs/remotes/origin/main\n{HEAD} refs/tags/v6.1.2-acme\n{OTHER} refs/tags/v6.1.1-acme\n"
    f"{TAG} refs/tags/v6.1.3-acme\n^{HEAD}\n"
)


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    "head",
    [
        {".git/HEAD": f"{HEAD}\n"},
        {".git/HEAD": "ref: refs/heads/main\n", ".git/refs/heads/main": f"{HEAD}\n"},
        {".git/HEAD": "ref: refs/remotes/origin/main\n"},
    ],
)
def test_packed_tags(tmp_path: Path, head: dict[str, str]) -> None:
    write(tmp_path, {".git/packed-refs": PACKED, **head})
    assert tags_at_head(tmp_path) == ["v6.1.2-acme", "v6.1.3-acme"]


def test_a_loose_tag_wins(tmp_path: Path) -> None:
    files = {".git/refs/tags/v6.1.2-acme": OTHER, ".git/refs/tags/v6.1.1-acme": HEAD}
    write(tmp_path, {".git/HEAD": HEAD, ".git/packed-refs": PACKED, **files})
    assert tags_at_head(tmp_path) == ["v6.1.1-acme", "v6.1.3-acme"]


def test_a_linked_work_tree(tmp_path: Path) -> None:
    linked = {"main/.git/worktrees/other/HEAD": HEAD, "main/.git/worktrees/other/commondir": "../..\n"}
    write(tmp_path, {"main/.git/packed-refs": PACKED, **linked, "other/.git": "gitdir: ../main/.git/worktrees/other\n"})
    assert tags_at_head(tmp_path / "other") == ["v6.1.2-acme", "v6.1.3-acme"]


@pytest.mark.parametrize("head", ["ref: ../../../etc/passwd", "ref: refs/heads/none", "", "\0"])
def test_no_tags(tmp_path: Path, head: str) -> None:
    assert tags_at_head(tmp_path) == []
    write(tmp_path, {".git/HEAD": head, ".git/packed-refs": PACKED})
    assert tags_at_head(tmp_path) == []
