from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from builder.stages import headerstree, journal, kconfigtree, patch
from builder.stages.common import MARK, StageError
from tests.unit.stages import faketree

LINES = "".join(f"line {number}\n" for number in range(1, 41))
CHANGE = """\
A change.

--- a/fs/file.c
+++ b/fs/file.c
@@ -4,5 +4,5 @@
 line 4
 line 5
-line 6
+LINE 6
 line 7
 line 8
@@ -28,5 +28,5 @@
 line 28
 line 29
-line 30
+LINE 30
 line 31
 line 32
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "tree/fs").mkdir(parents=True)
    (tmp_path / "tree/fs/file.c").write_text(LINES)
    for name in ("patches", "hooks"):
        (tmp_path / name).mkdir()
    return tmp_path / "tree"


def put(tree: Path, name: str, content: str) -> None:
    (tree.parent / "patches" / name).write_text(content)


def apply(tree: Path) -> None:
    patch.apply_patches(tree, tree.parent / "patches")


def failure(tree: Path) -> StageError:
    with pytest.raises(StageError) as caught:
        apply(tree)
    left = [path.name for path in tree.rglob("*") if path.suffix in (".rej", ".orig")]
    assert left == []
    return caught.value


def test_patches_are_applied_in_the_order_of_their_names(tree: Path) -> None:
    put(tree, "B.patch", CHANGE)
    put(
        tree,
        "a.patch",
        CHANGE.replace("-line 6\n+LINE 6", "-LINE 6\n+Line 6")
        .replace("LINE 30", "LINE_30", 1)
        .replace("-line 30\n+LINE_30", "-LINE 30\n+Line 30"),
    )
    put(tree, "notes.txt", "not a patch")
    apply(tree)
    assert "Line 6\n" in (tree / "fs/file.c").read_text()
    assert sorted(path.name for path in (tree / "fs").iterdir()) == ["file.c"]


def test_a_hunk_may_stand_at_other_lines(tree: Path) -> None:
    (tree / "fs/file.c").write_text("more\n" * 7 + LINES)
    put(tree, "a.patch", CHANGE)
    apply(tree)
    assert "LINE 30\n" in (tree / "fs/file.c").read_text()
    assert sorted(path.name for path in (tree / "fs").iterdir()) == ["file.c"]


def test_a_hunk_that_does_not_fit_is_named(tree: Path) -> None:
    (tree / "fs/file.c").write_text(LINES.replace("line 31", "something else"))
    put(tree, "a.patch", CHANGE)
    error = failure(tree)
    assert (error.where, error.line) == ("patches/a.patch", 12)
    assert "hunk 2 of fs/file.c" in error.what


def test_a_hunk_that_would_need_fuzz_is_refused(tree: Path) -> None:
    (tree / "fs/file.c").write_text(LINES.replace("line 4\n", "other context\n"))
    put(tree, "a.patch", CHANGE)
    assert "hunk 1 of fs/file.c" in failure(tree).what


def test_the_second_patch_of_one_file_is_named_by_its_own_line(tree: Path) -> None:
    (tree / "fs/file.c").write_text(LINES.replace("line 38\n", "x\n"))
    again = "--- a/fs/file.c\n+++ b/fs/file.c\n@@ -37,3 +37,3 @@\n line 37\n-line 38\n+LINE 38\n line 39\n"
    put(tree, "a.patch", CHANGE + again)
    assert failure(tree).line == len(CHANGE.splitlines()) + 3


def test_a_patch_that_is_already_applied_is_said_to_be(tree: Path) -> None:
    put(tree, "a.patch", CHANGE)
    apply(tree)
    error = failure(tree)
    assert "already applied" in error.what
    assert (error.where, error.line) == ("patches/a.patch", 3)


def test_a_file_that_the_tree_lacks_is_named(tree: Path) -> None:
    put(tree, "a.patch", CHANGE.replace("file.c", "absent.c"))
    error = failure(tree)
    assert "lacks: fs/absent.c" in error.what
    assert error.line == 3


def test_gits_new_deleted_renamed_and_executable_files(tree: Path) -> None:
    (tree / "fs/gone.c").write_text("gone\n")
    (tree / "fs/old.c").write_text("same\n")
    (tree / "fs/run.sh").write_text("#!/bin/sh\n")
    put(
        tree,
        "a.patch",
        "diff --git a/fs/new.c b/fs/new.c\nnew file mode 100755\nindex 0000000..3e75765\n"
        "--- /dev/null\n+++ b/fs/new.c\n@@ -0,0 +1 @@\n+new\n"
        "diff --git a/fs/gone.c b/fs/gone.c\ndeleted file mode 100644\nindex a3b1c2d..0000000\n"
        "--- a/fs/gone.c\n+++ /dev/null\n@@ -1 +0,0 @@\n-gone\n"
        "diff --git a/fs/old.c b/fs/renamed.c\nsimilarity index 100%\nrename from fs/old.c\nrename to fs/renamed.c\n"
        "diff --git a/fs/run.sh b/fs/run.sh\nold mode 100644\nnew mode 100755\n",
    )
    apply(tree)
    assert sorted(path.name for path in (tree / "fs").iterdir()) == ["file.c", "new.c", "renamed.c", "run.sh"]
    assert (tree / "fs/new.c").stat().st_mode & 0o111
    assert (tree / "fs/run.sh").stat().st_mode & 0o111


def test_a_new_file_that_exists_is_refused(tree: Path) -> None:
    put(tree, "a.patch", "--- /dev/null\n+++ b/fs/file.c\n@@ -0,0 +1 @@\n+new\n")
    assert failure(tree).where == "patches/a.patch"


def test_an_escaping_patch_is_not_applied(tree: Path) -> None:
    put(tree, "a.patch", "--- a/../x\n+++ b/../x\n@@ -0,0 +1 @@\n+new\n")
    assert "reaches out" in failure(tree).what


def test_without_patches_nothing_happens(tree: Path) -> None:
    patch.apply_patches(tree, tree.parent / "absent")
    assert (tree / "fs/file.c").read_text() == LINES


def hook(tree: Path, name: str, text: str, mode: int = 0o755) -> None:
    path = tree.parent / "hooks" / name
    path.write_text(text)
    path.chmod(mode)


def test_hooks_run_in_the_tree_in_the_order_of_their_names(tree: Path) -> None:
    hook(tree, "20-b.sh", "#!/bin/sh\necho b >> made\n")
    hook(tree, "10-a.sh", "#!/bin/sh\necho a >> made\n")
    hook(tree, "README", "no program", 0o644)
    patch.run_hooks(tree, tree.parent / "hooks")
    assert (tree / "made").read_text() == "a\nb\n"


def test_a_failing_hook_is_an_error_with_its_last_lines(tree: Path) -> None:
    hook(tree, "10-a.sh", "#!/bin/sh\necho before\necho broken >&2\nexit 3\n")
    with pytest.raises(StageError, match="exit code 3") as caught:
        patch.run_hooks(tree, tree.parent / "hooks")
    assert caught.value.where == "hooks/10-a.sh"
    assert caught.value.details == ["before", "broken"]


@pytest.mark.parametrize(("number", "name"), [(9, "SIGKILL"), (11, "SIGSEGV"), (40, "signal 40")])
def test_a_hook_that_a_signal_ends(tree: Path, number: int, name: str) -> None:
    hook(tree, "10-a.sh", f"#!/bin/sh\nkill -{number} $$\n")
    with pytest.raises(StageError, match=f"the hook was ended by {name}"):
        patch.run_hooks(tree, tree.parent / "hooks")


def test_what_a_hook_prints_is_seen_as_it_does(tree: Path) -> None:
    hook(tree, "10-a.sh", "#!/bin/sh\necho begun\nread -r line <go\nprintf ended\n")
    os.mkfifo(tree / "go")
    program = "import pathlib, sys; from builder.stages import patch; patch.run_hooks(*map(pathlib.Path, sys.argv[1:]))"
    argv = [sys.executable, "-c", program, str(tree), str(tree.parent / "hooks")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(3)] == [
            f'{MARK}{{"event": "progress", "done": 1, "total": 1, "text": "hooks/10-a.sh"}}\n',
            "hooks/10-a.sh:\n",
            "begun\n",
        ]
        (tree / "go").write_text("\n")
        assert process.stdout.readline() == "ended\n"


def test_a_hook_ends_with_itself(tree: Path) -> None:
    """Not with what it has started, and left behind."""
    hook(tree, "10-a.sh", "#!/bin/sh\necho before\nsleep 60 &\necho $! >left\necho after\nexit 4\n")
    began = time.monotonic()
    with pytest.raises(StageError, match="exit code 4") as caught:
        patch.run_hooks(tree, tree.parent / "hooks")
    os.kill(int((tree / "left").read_text()), signal.SIGKILL)
    assert caught.value.details == ["before", "after"] and time.monotonic() - began < 30


def test_what_hooks_are_told(tree: Path) -> None:
    """Of the patched tree."""
    (tree / "Makefile").write_text("# x\nVERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 7\nEXTRAVERSION = -rc1\nNAME = x\n")
    info = tree.parent / "source.json"
    info.write_text('{"epoch": 1700000000}')
    names = ("ARCH", "SRCARCH", "KERNELVERSION", "SOURCE_DATE_EPOCH")
    hook(tree, "10-a.sh", "#!/bin/sh\n" + "".join(f'echo "${{{name}}}" >> made\n' for name in names) + "pwd >> made\n")
    patch.run_hooks(tree, tree.parent / "hooks", patch.hook_environment(tree, info, "x86_64", "x86"))
    assert (tree / "made").read_text().split() == ["x86_64", "x86", "6.12.7-rc1", "1700000000", str(tree)]
    assert "SOURCE_DATE_EPOCH" not in patch.hook_environment(tree, tree / "none", "x86_64", "x86")


def test_the_certificate_is_put_where_the_config_names_it(tree: Path) -> None:
    patch.add_certificate(tree, tree / "none")
    assert not (tree / "certs").exists()
    (tree.parent / "certificate.pem").write_text("certificate")
    patch.add_certificate(tree, tree.parent / "certificate.pem")
    assert (tree / "certs/rosk-modules.pem").read_text() == "certificate"


@pytest.mark.parametrize("text", ["echo no interpreter\n", "#!/absent/interpreter\n"])
def test_a_hook_that_cannot_be_run_is_an_error(tree: Path, text: str) -> None:
    hook(tree, "10-a.sh", text)
    with pytest.raises(StageError, match="cannot be run") as caught:
        patch.run_hooks(tree, tree.parent / "hooks")
    assert caught.value.where == "hooks/10-a.sh"


QUOTING = """\
A change, instead of this one:

  --- a/fs/other.c
  +++ b/fs/other.c
  @@ -1,3 +1,3 @@
   line 1
  -line 2
  +LINE 2
   line 3

Prereq: a word that no file has
"""


def test_a_diff_in_a_message_is_text(tree: Path) -> None:
    """GNU patch takes its indentation off, and applies it."""
    (tree / "fs/other.c").write_text(LINES)
    put(tree, "0001-a.patch", QUOTING + CHANGE.partition("\n")[2] + "-- \n2.39.5\n")
    before = journal.dump(journal.read_tree(tree))
    touched = patch.apply_patches(tree, tree.parent / "patches")
    assert (tree / "fs/other.c").read_text() == LINES
    assert "LINE 6" in (tree / "fs/file.c").read_text()
    assert journal.update(tree, before, touched or ()) == journal.dump(journal.read_tree(tree))


def test_a_file_whose_folder_is_a_link(tree: Path) -> None:
    """The tree is read again: under its own name the file is another one."""
    (tree / "link").symlink_to("fs")
    put(tree, "0001-a.patch", CHANGE.replace("/fs/", "/link/"))
    assert patch.apply_patches(tree, tree.parent / "patches") is None
    assert "LINE 6" in (tree / "fs/file.c").read_text()


@pytest.mark.parametrize("hooked", [False, True])
def test_the_journal_is_of_the_tree_as_it_leaves_the_stage(tree: Path, hooked: bool) -> None:
    written, folder = tree.parent / "journal", tree.parent
    journal.write(written, journal.dump(journal.read_tree(tree)))
    (folder / "certificate.pem").write_text("certificate")
    (folder / "patches").mkdir(exist_ok=True)
    (folder / "patches/new.patch").write_text("--- /dev/null\n+++ b/net/new.c\n@@ -0,0 +1 @@\n+int new;\n")
    if hooked:
        hook(tree, "10-a.sh", "#!/bin/sh\nmkdir moved && echo x >moved/x && mv moved other\n")
    kconfigtree.pick(tree, journal.read(written), folder / "kconfig")
    headerstree.pick(tree, journal.read(written), folder / "headers")
    words: list[str | Path] = ["--tree", tree, "--journal", written, "--kconfig", folder / "kconfig"]
    words += ["--headers", folder / "headers"]
    words += ["--hooks", folder / "hooks"]
    words += ["--patches", folder / "patches", "--certificate", folder / "certificate.pem"]
    done = faketree.run_stage("patch", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    now = journal.read_tree(tree)
    assert {"net/new.c", "certs/rosk-modules.pem", *(["other/x"] if hooked else [])} <= now.keys()
    assert journal.read(written) == journal.dump(now)


def test_a_name_that_no_file_can_have(tree: Path) -> None:
    put(tree, "0001-a.patch", CHANGE.replace("a/fs/file.c", "a/f\0s/file.c"))
    before = journal.dump(journal.read_tree(tree))
    touched = patch.apply_patches(tree, tree.parent / "patches")
    assert journal.update(tree, before, touched or ()) == journal.dump(journal.read_tree(tree))
