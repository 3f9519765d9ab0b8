from __future__ import annotations

import os
from pathlib import Path

import pytest

from builder.errors import InputError
from builder.patches.series import about, read_series, same_diff

DIFF = "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n"
GIT = """\
From 0123456789abcdef0123456789abcdef01234567 Mon Sep 17 00:00:00 2001
From: =?UTF-8?q?J=C3=B6rg=20X?= <joerg@example.org>
Date: Mon, 2 Mar 2026 10:00:00 +0100
Subject: [PATCH v2 2/3] net: a subject so long that git folds it onto another
 line
X-Rosk-Kernel: >=6.6 <6.13

The message.
{trailers}
Signed-off-by: A <a@example.org>
---
 x | 2 +-

diff --git a/x b/x
"""


def test_what_git_writes() -> None:
    found = about((GIT.format(trailers="") + DIFF).encode(), ">=6.6 <6.13")
    assert found.subject == "net: a subject so long that git folds it onto another line"
    assert found.author == "Jörg X <joerg@example.org>"
    assert found.origin == "commit 0123456789ab of a local tree"
    assert (found.upstream, found.limits) == ("", ">=6.6 <6.13")


@pytest.mark.parametrize(
    ("trailers", "origin", "upstream"),
    [
        ("commit 89abcdef0123456789abcdef0123456789abcdef upstream.", "commit 89abcdef0123", "backport"),
        ("[ Upstream commit 89abcdef0123456789abcdef0123456789abcdef ]", "commit 89abcdef0123", "backport"),
        ("(cherry picked from commit 89abcdef0123456789abcdef0123456789abcdef)", "commit 89abcdef0123", "backport"),
        ("Link: https://lore.example.org/r/1@x # v2", "https://lore.example.org/r/1@x", ""),
        ("Origin: vendor, https://example.org/p\nForwarded: no", "vendor, https://example.org/p", "not forwarded"),
        ("Forwarded: https://bugs.example.org/1", None, "forwarded: https://bugs.example.org/1"),
        ("Applied-Upstream: 6.13, commit:89ab\nForwarded: yes", None, "applied: 6.13, commit:89ab"),
        ("Origin: backport, commit:89ab", "backport, commit:89ab", "backport"),
    ],
)
def test_trailers_and_fields(trailers: str, origin: str | None, upstream: str) -> None:
    found = about((GIT.format(trailers=trailers) + DIFF).encode())
    assert found.origin == (origin or "commit 0123456789ab of a local tree")
    assert found.upstream == upstream


def test_debians_header() -> None:
    text = "Description: Fix it\n This is why.\nAuthor: A <a@example.org>\nBug: https://bugs.example.org/1\n\n" + DIFF
    found = about(text.encode())
    assert (found.subject, found.author, found.origin) == ("Fix it", "A <a@example.org>", "https://bugs.example.org/1")


def test_a_plain_text_and_none_at_all() -> None:
    found = about(("\nFix it.\n\nSigned-off-by: A <a@example.org>\n" + DIFF).encode())
    assert (found.subject, found.author) == ("Fix it.", "A <a@example.org>")
    assert about(DIFF.encode()).subject == ""


def test_a_diff_is_no_header() -> None:
    assert about((DIFF + " From: nobody\n Subject: nothing\n").encode()).author == ""


def test_patches_come_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("b.patch", "B.patch", "0001.patch", "README.md", "\udcff.patch"):
        (tmp_path / name).write_text("" if name == "b.patch" else DIFF)
    found = read_series(tmp_path)
    assert [patch.name for patch in found] == ["0001.patch", "B.patch", "b.patch", "\udcff.patch"]
    assert [bool(patch.error) for patch in found] == [False, False, True, False]
    assert read_series(tmp_path / "absent") == []


def test_the_same_diff_with_other_words_and_lines(tmp_path: Path) -> None:
    (tmp_path / "a.patch").write_text(DIFF)
    patches = read_series(tmp_path)
    assert same_diff(b"words\n" + DIFF.encode().replace(b"-1 +1", b"-9 +9"), patches) == patches[0]
    assert same_diff(DIFF.encode().replace(b"+b", b"+c"), patches) is None
    assert same_diff(DIFF.encode().replace(b"/x", b"/y"), patches) is None


@pytest.mark.parametrize("kind", ["pipe", "folder", "link"])
def test_what_cannot_be_read(tmp_path: Path, kind: str) -> None:
    """Nothing is waited for, and the next step is said."""
    path = tmp_path / "0001-a.patch"
    {"pipe": os.mkfifo, "folder": os.mkdir, "link": lambda path: path.symlink_to(path.name)}[kind](path)
    with pytest.raises(InputError, match="cannot be read") as caught:
        read_series(tmp_path)
    assert caught.value.hint
