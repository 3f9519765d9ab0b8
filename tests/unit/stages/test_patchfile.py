from __future__ import annotations

import pytest

from builder.stages.common import StageError
from builder.stages.patchfile import check_patch, named_paths, parse_patch

PLAIN = """\
Some words about it.

--- a/fs/ext4/super.c\t2026-01-01 00:00:00
+++ b/fs/ext4/super.c\t2026-01-02 00:00:00
@@ -1,3 +1,3 @@
 one
-two
+TWO
 three
@@ -10 +10,2 @@
 ten
+eleven
"""
GIT = """\
From 0123 Mon Sep 17 00:00:00 2001
Subject: [PATCH] several things
---
 fs/a.c | 1 +

diff --git a/fs/new.c b/fs/new.c
new file mode 100644
index 0000000..1111111
--- /dev/null
+++ b/fs/new.c
@@ -0,0 +1 @@
+new
diff --git a/fs/gone.c b/fs/gone.c
deleted file mode 100644
--- a/fs/gone.c
+++ /dev/null
@@ -1 +0,0 @@
-gone
diff --git a/fs/old name.c b/fs/new name.c
similarity index 100%
rename from fs/old name.c
rename to fs/new name.c
diff --git a/scripts/run.sh b/scripts/run.sh
old mode 100644
new mode 100755
--
2.47.3
"""


def failure(content: str | bytes) -> StageError:
    with pytest.raises(StageError) as caught:
        check_patch(content, "patches/a.patch")
    assert caught.value.where == "patches/a.patch"
    return caught.value


def test_a_plain_diff_tells_its_files_and_hunks() -> None:
    (file,) = parse_patch(PLAIN.encode(), "patches/a.patch")
    assert (file.path, file.line, file.hunks) == ("fs/ext4/super.c", 3, (5, 10))


def test_gits_new_deleted_renamed_and_mode_changed_files_are_known() -> None:
    assert check_patch(GIT, "a.patch") == ["fs/new.c", "fs/gone.c", "fs/new name.c", "scripts/run.sh"]


def test_a_file_changed_twice_is_named_once() -> None:
    assert check_patch(PLAIN + PLAIN, "a.patch") == ["fs/ext4/super.c"]


def test_lines_that_end_in_cr_are_read() -> None:
    assert check_patch(PLAIN.replace("\n", "\r\n"), "a.patch") == ["fs/ext4/super.c"]


def test_a_missing_newline_at_the_end_of_a_file_is_read() -> None:
    text = PLAIN + "\\ No newline at end of file\n--- a/x/y\n+++ b/x/y\n@@ -1 +1 @@\n-a\n+b\n"
    assert check_patch(text, "a.patch") == ["fs/ext4/super.c", "x/y"]


@pytest.mark.parametrize("content", ["", "\n\n", " \n"])
def test_an_empty_patch_is_refused(content: str) -> None:
    assert "the patch is empty" in failure(content).what


def test_a_text_without_diff_is_refused() -> None:
    assert "no unified diff" in failure("Dear all,\nthis is only a mail.\n").what


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("a/../../etc/passwd", "b/../../etc/passwd"),
        ("/etc/passwd", "/etc/passwd"),
        ("a/fs/x.c", "b/../x.c"),
        (r'"a/\056\056/x"', r'"b/\056\056/x"'),
    ],
)
def test_a_path_out_of_the_tree_is_refused(old: str, new: str) -> None:
    error = failure(f"\n--- {old}\n+++ {new}\n@@ -1 +1 @@\n-a\n+b\n")
    assert "reaches out of the kernel tree" in error.what
    assert error.line in (2, 3)


def test_a_quoted_name_that_no_git_writes_is_refused() -> None:
    r"""A backslash and what follows is a character there (`\344`), and not a folder of Windows."""
    error = failure('\n--- "a\\xampp\\foo.c"\n+++ "b\\xampp\\foo.c"\n@@ -1 +1 @@\n-a\n+b\n')
    assert (error.what, error.line) == (r'a quoted name is malformed: "a\xampp\foo.c"', 2)
    assert error.hint


def test_a_rename_out_of_the_tree_is_refused() -> None:
    text = "diff --git a/x b/y\nsimilarity index 100%\nrename from x\nrename to ../../y\n"
    assert failure(text).line == 4


def test_a_path_that_minus_p1_leaves_empty_is_refused() -> None:
    error = failure("--- Makefile\n+++ Makefile\n@@ -1 +1 @@\n-a\n+b\n")
    assert "no leading folder" in error.what


def test_a_binary_patch_is_refused() -> None:
    text = "diff --git a/logo.bin b/logo.bin\nindex 1..2 100644\nGIT binary patch\nliteral 3\nzzz\n"
    assert (failure(text).line, "binary" in failure(text).what) == (3, True)
    assert "binary" in failure("Binary files a/x and b/x differ\n").what


def test_a_patch_that_is_cut_off_is_refused_at_its_hunk() -> None:
    error = failure("".join(PLAIN.splitlines(keepends=True)[:-1]))
    assert ("cut off" in error.what, error.line) == (True, 10)


def test_a_hunk_with_the_wrong_number_of_lines_is_refused() -> None:
    error = failure(PLAIN.replace(" three\n", ""))
    assert ("malformed" in error.what, error.line) == (True, 9)


def test_a_hunk_without_a_file_is_refused() -> None:
    assert failure("words\n@@ -1 +1 @@\n-a\n+b\n").line == 2


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("--- a/net/core.c\n+++ b/net/core.c\n@@ -1 +1 @@\n-x\n+y\n", {"net/core.c"}),
        ("--- a/net/core.c\t2020-01-01\n+++ /dev/null\r\n@@ -1 +0,0 @@\n-x\n", {"net/core.c"}),
        ("--- linux-6/net/core.c 2020-01-01\n+++ linux-7//net/new.c 2020\n@@ -1 +1 @@\n", {"net/core.c", "net/new.c"}),
        ("diff --git a/one b/two\nrename from one\nrename to sub/two\n", {"one", "two", "sub/two"}),
        ("diff --git a/with space b/with space\nold mode 100644\nnew mode 100755\n", {"with space"}),
        ("Index: net/old.c\n--- x/net/old.c\n+++ x/net/old.c\n", {"net/old.c"}),
    ],
)
def test_the_paths_that_a_patch_can_mean(text: str, paths: set[str]) -> None:
    found = named_paths(text.encode())
    assert found is not None
    assert paths <= found


def test_quoted_names_are_not_told_apart() -> None:
    assert named_paths(b'--- "a/\\303\\244.c"\n+++ "b/\\303\\244.c"\n') is None


def test_no_path_that_leads_out_is_among_them() -> None:
    """A line of a hunk may look like a name."""
    found = named_paths(b"--- a/net/core.c\n+++ b/net/core.c\n@@ -1 +0,0 @@\n--- ../../etc/passwd\n")
    assert found is not None
    assert "net/core.c" in found
    assert not [path for path in found if path.startswith("..")]
