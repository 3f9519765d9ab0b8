from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from builder.stages import patch, patchtry
from builder.stages.common import StageError
from builder.stages.patch import apply_patches
from builder.stages.patchcheck import check_patches
from builder.stages.patchfile import parse_patch
from builder.stages.patchlimits import read_limits

FAKE_TREE = Path(__file__).parent.parent.parent / "faketree"
LINES = "".join(f"line {number}\n" for number in range(1, 61))


class Series:
    """A tree in git, and patches made of it."""

    def __init__(self, folder: Path) -> None:
        self.tree, self.patches = folder / "tree", folder / "patches"
        self.tree.mkdir()
        self.patches.mkdir()
        self.write("fs/file.c", LINES)
        self.git("init", "-q")
        self.commit("start")

    def git(self, *words: str) -> str:
        who = ("-c", "user.name=A", "-c", "user.email=a@example.org")
        return subprocess.run(["git", *who, *words], cwd=self.tree, check=True, capture_output=True, text=True).stdout

    def write(self, name: str, text: str) -> None:
        path = self.tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def edit(self, name: str, old: str, new: str) -> None:
        text = (self.tree / name).read_text()
        assert text.count(old) == 1
        self.write(name, text.replace(old, new))

    def commit(self, subject: str) -> None:
        self.git("add", "-A")
        self.git("commit", "-qm", subject)

    def patch(self, name: str, *edits: tuple[str, str], file: str = "fs/file.c") -> Path:
        """A patch of edits, which stay in the tree."""
        for old, new in edits:
            self.edit(file, old, new)
        self.commit(name)
        path = self.patches / name
        path.write_text(self.git("format-patch", "--stdout", "-1"))
        return path

    def reset(self, **files: str) -> None:
        """The tree as it was at the start, with other files (name with `__` for `/`)."""
        self.git("reset", "-q", "--hard", self.git("rev-list", "--max-parents=0", "HEAD").strip())
        for name, text in files.items():
            self.write(name.replace("__", "/"), text)

    def check(self, version: str = "6.12.64") -> tuple[dict[str, Any], dict[str, bytes]]:
        before = {path: path.read_bytes() for path in self.tree.rglob("*") if path.is_file()}
        report, exact = check_patches(self.tree, version, sorted(self.patches.iterdir()))
        assert before == {path: path.read_bytes() for path in self.tree.rglob("*") if path.is_file()}
        return report, exact

    def states(self, version: str = "6.12.64") -> dict[str, str]:
        return {each["name"]: each["state"] for each in self.check(version)[0]["patches"]}

    def result(self, name: str) -> dict[str, Any]:
        (found,) = (each for each in self.check()[0]["patches"] if each["name"] == name)
        assert isinstance(found, dict)
        return found


@pytest.fixture
def series(tmp_path: Path) -> Series:
    return Series(tmp_path)


def test_patches_are_tried_as_the_build_applies_them() -> None:
    ours = {*patchtry._PATCH, *patchtry._FORWARD, "--fuzz=0"}
    assert ours == set(patch._PATCH)


def test_a_series_that_applies(series: Series) -> None:
    series.patch("1.patch", ("line 6\n", "LINE 6\n"))
    series.patch("2.patch", ("LINE 6\n", "Line 6\n"), ("line 30\n", ""))
    series.reset()
    report, exact = series.check()
    assert (report["kernel_version"], report["order"], exact) == ("6.12.64", None, {})
    assert [(each["state"], each["offset"], each["files"]) for each in report["patches"]] == 2 * [
        ("applies", 0, ["fs/file.c"])
    ]
    apply_patches(series.tree, series.patches)


def test_an_offset_is_told_and_its_refreshed_patch_has_none(series: Series) -> None:
    path = series.patch("1.patch", ("line 6\n", "LINE 6\nmore\n"), ("line 40\n", "LINE 40\n"))
    series.reset(fs__file_c="")
    series.write("fs/file.c", "new\n" * 7 + LINES.replace("line 20\n", ""))
    report, exact = series.check()
    (result,) = report["patches"]
    assert (result["state"], result["offset"]) == ("applies", 7)
    assert [(hunk["offset"], hunk["number"]) for hunk in result["hunks"]] == [(7, 1), (6, 2)]
    old, new = path.read_text().splitlines(), exact["1.patch"].decode().splitlines()
    changed = [(was, now) for was, now in zip(old, new, strict=True) if was != now]
    assert [now for _, now in changed] == ["@@ -10,7 +10,8 @@ line 2", "@@ -43,7 +44,7 @@ line 36"]
    path.write_bytes(exact["1.patch"])
    report, exact = series.check()
    assert (report["patches"][0]["hunks"], exact) == ([], {})


def test_fuzz_is_told_and_its_refreshed_patch_has_the_trees_context(series: Series) -> None:
    path = series.patch("1.patch", ("line 6\n", "LINE 6\n"))
    series.reset()
    series.edit("fs/file.c", "line 3\n", "another 3\n")
    series.edit("fs/file.c", "line 9\n", "another 9\n")
    report, exact = series.check()
    assert (report["patches"][0]["state"], report["patches"][0]["fuzz"]) == ("fuzz", 1)
    with pytest.raises(StageError):
        apply_patches(series.tree, series.patches)
    assert b" another 3\n" in exact["1.patch"] and b" line 3\n" not in exact["1.patch"]
    path.write_bytes(exact["1.patch"])
    assert series.states() == {"1.patch": "applies"}
    apply_patches(series.tree, series.patches)


def test_fuzz_at_the_files_end(series: Series) -> None:
    path = series.patch("1.patch", ("line 57\n", "LINE 57\n"))
    series.reset()
    series.write("fs/file.c", LINES.replace("line 60\n", "").replace("line 59\n", ""))
    report, exact = series.check()
    assert report["patches"][0]["state"] == "fuzz"
    path.write_bytes(exact["1.patch"])
    assert series.result("1.patch")["hunks"] == []


def test_what_this_version_has_already(series: Series) -> None:
    series.patch("1.patch", ("line 6\n", "LINE 6\n"))
    series.patch("2.patch", ("line 40\n", "LINE 40\n"))
    series.git("reset", "-q", "--hard", "HEAD~1")
    series.write("fs/file.c", "more\n" + (series.tree / "fs/file.c").read_text())
    report, _ = series.check()
    first, second = report["patches"]
    assert (first["state"], second["state"], second["offset"]) == ("upstream", "applies", 1)
    assert "6.12.64" in first["what"]


def test_a_patch_that_repeats_another(series: Series) -> None:
    one = series.patch("1.patch", ("line 6\n", "LINE 6\n"))
    series.reset()
    (series.patches / "2.patch").write_bytes(one.read_bytes())
    assert series.states() == {"1.patch": "applies", "2.patch": "duplicate"}
    assert series.result("2.patch")["after"] == "1.patch"


def test_an_addition_that_would_be_put_in_twice_is_noticed(series: Series) -> None:
    series.write("list", "a\n" * 20)
    series.commit("list")
    path = series.patches / "1.patch"
    path.write_text("--- a/list\n+++ b/list\n@@ -5,4 +5,5 @@\n a\n a\n+a\n a\n a\n")
    assert "already" in series.result("1.patch")["notes"][0]


def test_a_hunk_that_does_not_fit_is_shown_with_its_line(series: Series) -> None:
    path = series.patch("1.patch", ("line 6\n", "LINE 6\n"), ("line 30\n", "LINE 30\n"))
    series.reset()
    series.edit("fs/file.c", "line 30\n", "other\n")
    result = series.result("1.patch")
    at = path.read_text().splitlines().index("@@ -27,7 +27,7 @@ line 26") + 1
    assert (result["state"], result["line"]) == ("fails", at)
    assert [(hunk["file"], hunk["line"], hunk["at"], hunk["number"]) for hunk in result["hunks"]] == [
        ("fs/file.c", at, 27, 2)
    ]
    assert result["text"] == path.read_text().splitlines()[at - 1 : at + 8]
    assert result["notes"] == ["1 of its 2 hunks do not fit"]


def test_a_missing_file_is_named(series: Series) -> None:
    series.patch("1.patch", ("line 6\n", "LINE 6\n"))
    series.reset()
    (series.tree / "fs/file.c").unlink()
    result = series.result("1.patch")
    assert (result["state"], "lacks: fs/file.c" in result["what"]) == ("fails", True)


def test_patches_in_the_wrong_order(series: Series) -> None:
    series.patch("2.patch", ("line 30\n", "LINE 30\nmore\n"))
    series.patch("3.patch", ("LINE 30\nmore\n", "Line 30\n"))
    series.patch("1.patch", ("Line 30\n", "done\n"))
    series.reset()
    report, _ = series.check()
    assert [(each["state"], each["after"]) for each in report["patches"]] == [
        ("order", "3.patch"),
        ("applies", None),
        ("applies", None),
    ]
    assert report["order"] == ["2.patch", "3.patch", "1.patch"]


def test_fuzz_that_comes_of_the_wrong_order(series: Series) -> None:
    series.patch("2.patch", ("line 27\n", "inserted\nline 27\n"))
    series.patch("1.patch", ("line 30\n", "LINE 30\n"))
    (series.patches / "1.patch").write_text(
        (series.patches / "1.patch").read_text().replace(" line 27\n", "").replace("@@ -28,7 +28,7", "@@ -29,6 +29,6")
    )
    series.reset()
    series.patch("2.patch", ("line 28\n", "LINE 28\n"))
    series.patch("1.patch", ("line 30\n", "LINE 30\n"))
    series.reset()
    assert series.states() == {"1.patch": "order", "2.patch": "applies"}


def test_one_failure_does_not_hide_the_state_of_the_others(series: Series) -> None:
    series.patch("1.patch", ("line 6\n", "LINE 6\n"))
    series.patch("2.patch", ("line 40\n", "LINE 40\n"))
    series.reset()
    series.edit("fs/file.c", "line 6\n", "other\n")
    assert series.states() == {"1.patch": "fails", "2.patch": "applies"}


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("", "empty"),
        ("Dear all\n", "no unified diff"),
        ("--- a/../x\n+++ b/../x\n@@ -1 +1 @@\n-a\n+b\n", "reaches out"),
        ("--- a/x\n+++ b/x\n@@ -1,9 +1 @@\n-a\n+b\n", "cut off"),
        ("X-Rosk-Kernel: new ones\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n", "not understood"),
    ],
)
def test_what_is_no_patch(series: Series, content: str, what: str) -> None:
    (series.patches / "1.patch").write_text(content)
    result = series.result("1.patch")
    assert result["state"] == "malformed"
    assert what in result["what"]


def test_new_deleted_renamed_linked_and_executable_files(series: Series) -> None:
    series.write("old.c", LINES)
    series.write("gone.c", "gone\n")
    series.write("run.sh", "#!/bin/sh\n")
    series.write("arch/arm/boot/a.dts", LINES)
    (series.tree / "arm").symlink_to("arch/arm")
    series.commit("more")
    start = series.git("rev-parse", "HEAD").strip()
    series.git("mv", "old.c", "new name.c")
    series.git("rm", "-q", "gone.c")
    series.write("fs/new.c", "new\n")
    (series.tree / "run.sh").chmod(0o755)
    (series.tree / "link").symlink_to("run.sh")
    series.patch("1.patch", ("line 40\n", "LINE 40\n"), file="new name.c")
    series.patch("2.patch", ("line 41\n", "LINE 41\n"), file="new name.c")
    through = series.patch("3.patch", ("line 6\n", "LINE 6\n"), file="arch/arm/boot/a.dts")
    through.write_text(through.read_text().replace("/arch/arm/", "/arm/"))
    series.git("reset", "-q", "--hard", start)
    series.write("old.c", "first\n" + LINES)
    report, exact = series.check()
    assert [each["state"] for each in report["patches"]] == ["applies"] * 3, report
    for name, content in exact.items():
        (series.patches / name).write_bytes(content)
    assert set(exact) == {"1.patch", "2.patch"}
    assert [each["hunks"] for each in series.check()[0]["patches"]] == [[], [], []]
    apply_patches(series.tree, series.patches)
    assert "LINE 41" in (series.tree / "new name.c").read_text()
    series.git("add", "-A")
    assert series.states() == {"1.patch": "upstream", "2.patch": "upstream", "3.patch": "upstream"}


def test_a_file_changed_twice_in_one_patch(series: Series) -> None:
    head = "--- a/fs/file.c\n+++ b/fs/file.c\n"
    one, two = (
        "@@ -5,3 +5,3 @@\n line 5\n-line 6\n+LINE 6\n line 7\n",
        "@@ -5,3 +5,4 @@\n line 5\n+new\n LINE 6\n line 7\n",
    )
    (series.patches / "1.patch").write_text(head + one + head + two)
    assert series.result("1.patch")["hunks"] == []
    series.write("fs/file.c", "more\n" * 2 + LINES)
    report, exact = series.check()
    assert report["patches"][0]["offset"] == 2
    assert exact["1.patch"].decode() == head + one.replace("5,3", "7,3") + head + two.replace("-5,3 +5,4", "-7,3 +7,4")


def test_hunks_without_context_and_files_without_a_last_newline(series: Series) -> None:
    series.write("end.c", "one\ntwo")
    series.commit("end")
    path = series.patches / "1.patch"
    path.write_text(
        "--- a/fs/file.c\n+++ b/fs/file.c\n@@ -10 +10 @@\n-line 10\n+LINE 10\n@@ -20,2 +19,0 @@\n-line 20\n-line 21\n"
        "--- a/end.c\n+++ b/end.c\n@@ -1,2 +1,2 @@\n one\n-two\n\\ No newline at end of file\n+TWO\n"
    )
    series.write("fs/file.c", "more\n" * 3 + LINES)
    series.write("end.c", "more\none\ntwo")
    _, exact = series.check()
    assert b"@@ -13 +13 @@\n" in exact["1.patch"] and b"@@ -23,2 +22,0 @@\n" in exact["1.patch"]
    assert b"@@ -2,2 +2,2 @@\n one\n-two\n\\ No newline at end of file\n+TWO\n" in exact["1.patch"]


@pytest.mark.parametrize("seed", range(6))
def test_what_is_refreshed_is_what_git_takes_with_no_offset(series: Series, seed: int) -> None:
    """Random edits on a tree that has changed at random elsewhere; git is the judge, and it allows no fuzz."""
    chance = random.Random(seed)
    lines = [f"{chance.choice('abc')} {chance.randrange(10**6)}\n" for _ in range(300)]
    series.write("a/b.c", "".join(lines))
    series.commit("b")
    start = series.git("rev-parse", "HEAD").strip()

    def edits(text: list[str], count: int) -> str:
        for _ in range(count):
            at = chance.randrange(len(text))
            text[at : at + chance.randrange(3)] = [
                f"edit {chance.randrange(10**6)}\n" for _ in range(chance.randrange(3))
            ]
        return "".join(text)

    series.write("a/b.c", edits(list(lines), 5))
    series.commit("edits")
    (series.patches / "1.patch").write_text(series.git("format-patch", "--stdout", "-1"))
    series.git("reset", "-q", "--hard", start)
    series.write("a/b.c", edits(list(lines), 4))
    report, exact = series.check()
    result = report["patches"][0]
    if result["state"] == "fails":
        return
    assert bool(exact) == bool(result["hunks"]), result
    if exact:
        (series.patches / "1.patch").write_bytes(exact["1.patch"])
        assert series.states() == {"1.patch": "applies"}
    said = subprocess.run(
        ["git", "apply", "--verbose", series.patches / "1.patch"], cwd=series.tree, check=True, capture_output=True
    )
    assert b"offset" not in said.stderr


@pytest.fixture
def limited() -> Callable[[str], Callable[[str], bool]]:
    def read(text: str) -> Callable[[str], bool]:
        content = f"Subject: x\nX-Rosk-Kernel: {text}\n\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n"
        return read_limits(content.encode(), "a.patch").admit

    return read


@pytest.mark.parametrize(
    ("limits", "in_it", "out_of_it"),
    [
        (">=6.6 <6.13", ["6.6", "6.6.1", "6.12.64"], ["6.5.13", "6.13", "6.13.0-rc1", "6.13.2"]),
        ("<=6.12", ["6.12.64", "5.10.1"], ["6.13"]),
        (">6.12", ["6.13.0-rc1", "7.0"], ["6.12.64", "6.1"]),
        ("==6.12", ["6.12", "6.12.0", "6.12.7-custom"], ["6.1.12", "6.13"]),
        (">= 6.12.5, < 6.12.10", ["6.12.5", "6.12.9"], ["6.12", "6.12.4", "6.12.10"]),
        (">=6", ["6.0", "7.1"], ["5.19.17"]),
    ],
)
def test_limits(
    limited: Callable[[str], Callable[[str], bool]], limits: str, in_it: list[str], out_of_it: list[str]
) -> None:
    admit = limited(limits)
    assert [version for version in in_it if not admit(version)] == []
    assert [version for version in out_of_it if admit(version)] == []


@pytest.mark.parametrize("text", ["6.12", ">=6.x", "", ">=6.6 and more", "=6.12", ">=1.2.3.4"])
def test_limits_that_are_not_understood_are_named_by_their_line(text: str) -> None:
    content = f"Subject: x\nX-Rosk-Kernel: {text}\n\n--- a/x\n"
    with pytest.raises(StageError, match="not understood") as caught:
        read_limits(content.encode(), "a.patch")
    assert (caught.value.where, caught.value.line) == ("a.patch", 2)


def test_limits_stand_before_the_diff_and_once() -> None:
    assert read_limits(b"--- a/x\n+++ b/x\n@@ -1 +1 @@\n X-Rosk-Kernel: >=6.6\n", "a.patch").text == ""
    with pytest.raises(StageError, match="twice"):
        read_limits(b"X-Rosk-Kernel: >=6.6\nx-rosk-kernel: <6.12\n", "a.patch")


def test_a_patch_for_other_versions_is_left_out(series: Series) -> None:
    path = series.patch("1.patch", ("line 6\n", "LINE 6\n"))
    path.write_text(path.read_text().replace("Subject:", "X-Rosk-Kernel: >=6.18\nSubject:"))
    assert series.states() == {"1.patch": "left-out"}
    series.reset()
    assert series.states("6.18.1") == {"1.patch": "applies"}


def test_git_takes_a_patch_with_limits(series: Series) -> None:
    path = series.patch("1.patch", ("line 6\n", "LINE 6\n"))
    path.write_text(path.read_text().replace("Subject:", "X-Rosk-Kernel: >=6.18\nSubject:"))
    series.reset()
    series.git("am", "-q", str(path))
    assert series.git("log", "-1", "--format=%B").strip() == "1.patch"


def test_the_program(series: Series, tmp_path: Path) -> None:
    series.patch("1.patch", ("line 6\n", "LINE 6\n"))
    series.reset()
    series.write("fs/file.c", "more\n" + LINES)
    (tmp_path / "source.json").write_text('{"kernel_version": "6.12.99", "epoch": 1}')
    words: list[str | Path] = ["--tree", series.tree, "--info", tmp_path / "source.json", "--patches", series.patches]
    argv = [sys.executable, "-m", "builder.stages.patchcheck", *words, "--out", tmp_path / "out"]
    subprocess.run(argv, check=True, cwd=FAKE_TREE.parent.parent)
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert (report["kernel_version"], report["patches"][0]["offset"]) == ("6.12.99", 1)
    assert [path.name for path in (tmp_path / "out/refreshed").iterdir()] == ["1.patch"]


@pytest.mark.parametrize("between", ["", "\n"], ids=["a header", "no header"])
def test_a_patch_reads_nothing_outside_of_the_tree(series: Series, between: str) -> None:
    """Behind a line that is none of git's headers a rename is text, whatever it says."""
    text = "diff --git a/fs/file.c b/fs/file.c\nold mode 100644\nnew mode 100755\n"
    (series.patches / "1.patch").write_text(f"{text}{between}rename from ../secret\nrename to fs/file.c\n")
    content = (series.patches / "1.patch").read_bytes()
    if not between:
        with pytest.raises(StageError, match="reaches out of"):
            parse_patch(content, "1.patch")
    else:
        assert patchtry.read_parts(content, "1.patch", parse_patch(content, "1.patch")).sources == ("fs/file.c",)
