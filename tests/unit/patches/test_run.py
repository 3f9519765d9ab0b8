"""The commands on a project whose patches are checked against a tree of this machine: no engine."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from builder.cli import patches as _patches  # noqa: F401 - hangs the commands on the app
from builder.cli.app import app
from builder.errors import InputError
from builder.patches.check import Checked, check_plan
from builder.patches.run import PatchOptions, run_check
from builder.project import load_project
from tests.unit.projects import write_project
from tests.unit.test_graph import CONTEXT

pytestmark = pytest.mark.host_programs

FAKE_TREE = Path(__file__).parent.parent.parent / "faketree"
FILE = "Makefile"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with no patches, and the fake tree beside it."""
    root = write_project(tmp_path / "project")
    shutil.rmtree(root / "patches")
    (root / "patches/x86").mkdir(parents=True)
    shutil.copytree(FAKE_TREE, tmp_path / "linux", symlinks=True)
    return root


def patch_of(root: Path, *, new: str = "# changed") -> str:
    """A patch that replaces the file's tenth line."""
    lines = (root.parent / "linux" / FILE).read_text().splitlines()[6:13]
    before, after = ("".join(f" {line}\n" for line in part) for part in (lines[:3], lines[4:]))
    head = f"Subject: [PATCH] change it\n\n--- a/{FILE}\n+++ b/{FILE}\n"
    return f"{head}@@ -7,7 +7,7 @@\n{before}-{lines[3]}\n+{new}\n{after}"


def rosk(root: Path, *words: str | Path) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command; an error of rosk counts as its code."""
    place = [] if words[1] == "import" else ["--tree", str(root.parent / "linux")] if words[1] != "table" else []
    argv = [*map(str, words), "-C", str(root), "--arch", "x86", *place]
    done = CliRunner().invoke(app, argv)
    code = done.exception.exit_code if isinstance(done.exception, InputError) else done.exit_code
    return code, done.stdout, done.stderr + (str(done.exception) if done.exception else "")


def put(root: Path, name: str, text: str) -> Path:
    path = root / "patches/x86" / name
    path.write_text(text)
    return path


def test_no_patches_are_fine(root: Path) -> None:
    assert rosk(root, "patches", "check")[:2] == (0, "there are no patches\n")
    assert not (root / "patches/x86/README.md").exists()


def test_check(root: Path) -> None:
    put(root, "0001-a.patch", patch_of(root))
    put(root, "0002-b.patch", "X-Rosk-Kernel: <6\n\n" + patch_of(root))
    code, out, _ = rosk(root, "patches", "check", "--strict")
    assert (code, out.splitlines()) == (
        0,
        [
            "ok  0001-a.patch  applies",
            "--  0002-b.patch  left out: it is for <6, and this is 6.12.99",
            "2 patches for 6.12.99: all apply (1 left out)",
        ],
    )


def test_a_failure_is_told_with_its_hunk_and_exits_with_3(root: Path) -> None:
    put(root, "0001-a.patch", misfit(root))
    code, out, err = rosk(root, "patches", "check")
    assert code == 3
    assert "0001-a.patch:5: hunk 1 of Makefile, expected at its line 7" in out
    assert "\n        -other" in out
    assert "a build with these patches fails for 6.12.99" in err


def test_what_is_no_patch_is_told_beside_the_others(root: Path) -> None:
    put(root, "0001-a.patch", "")
    put(root, "0002-b.patch", patch_of(root))
    code, out, _ = rosk(root, "patches", "check")
    assert code == 3
    assert "!!  0001-a.patch  malformed: the patch is empty" in out
    assert "ok  0002-b.patch  applies" in out


def test_without_a_tree_every_malformed_patch_is_named_before_an_engine_is_asked(root: Path) -> None:
    put(root, "0001-a.patch", "")
    put(root, "0002-b.patch", "words\n")
    with pytest.raises(InputError, match="the patch is empty") as caught:
        run_check(PatchOptions(root=root, arch="x86"))
    assert caught.value.location == "patches/x86/0001-a.patch:1"
    assert caught.value.details == ("patches/x86/0002-b.patch:1: the patch holds no unified diff",)


def test_json_is_all_there_is_on_standard_output(root: Path) -> None:
    put(root, "0002-a.patch", patch_of(root))
    put(root, "0001-b.patch", _on_top(root))
    code, out, _ = rosk(root, "patches", "check", "--json")
    found = json.loads(out)
    assert (code, found["ok"], found["kernel_version"]) == (3, False, "6.12.99")
    assert found["order"] == ["0002-a.patch", "0001-b.patch"]
    assert [(patch["state"], patch["after"]) for patch in found["patches"]] == [
        ("order", "0002-a.patch"),
        ("applies", None),
    ]


def _on_top(root: Path) -> str:
    """A patch of the line that `patch_of` put in."""
    text = patch_of(root, new="# again")
    (old,) = re.findall(r"^-(?!--).*$", text, re.M)
    return text.replace(f"{old}\n", "-# changed\n")


def misfit(root: Path) -> str:
    """A patch of a line that is not there."""
    return re.sub(r"^-(?!--)", "-other ", patch_of(root), flags=re.M)


def test_refresh(root: Path) -> None:
    path = put(root, "0001-a.patch", patch_of(root))
    path.chmod(0o600)
    linux = root.parent / "linux" / FILE
    linux.write_text("first\n" + linux.read_text())
    old = path.read_text()
    assert rosk(root, "patches", "check", "--strict")[0] == 3
    code, out, _ = rosk(root, "patches", "refresh", "--dry-run")
    assert (code, path.read_text()) == (0, old)
    assert "-@@ -7,7 +7,7 @@\n+@@ -8,7 +8,7 @@\n" in out
    code, out, _ = rosk(root, "patches", "refresh", "0001-a.patch")
    assert (code, out) == (0, "0001-a.patch: refreshed\n")
    assert path.read_text() == old.replace("@@ -7,7 +7,7 @@", "@@ -8,7 +8,7 @@")
    assert path.stat().st_mode & 0o777 == 0o600
    assert rosk(root, "patches", "check", "--strict")[0] == 0
    assert rosk(root, "patches", "refresh")[:2] == (0, "no patch is off its lines\n")


def test_the_json_of_a_refresh_says_how_the_patches_are_after_it(root: Path) -> None:
    put(root, "0001-a.patch", patch_of(root))
    linux = root.parent / "linux" / FILE
    lines = linux.read_text().splitlines()
    lines[6] += " # other words"
    linux.write_text("\n".join([*lines, ""]))

    def told(*words: str) -> tuple[bool, str, int, list[str]]:
        code, out, err = rosk(root, "patches", "refresh", "--json", *words)
        found = json.loads(out)
        (patch,) = found["patches"]
        assert code == 0, err
        return found["ok"], patch["state"], patch["fuzz"], found["refreshed"]

    assert told("--dry-run") == (False, "fuzz", 1, ["0001-a.patch"])
    assert told() == (True, "applies", 0, ["0001-a.patch"])
    assert told() == (True, "applies", 0, [])


def test_refresh_does_what_it_can_and_says_what_it_cannot(root: Path) -> None:
    broken = put(root, "0001-a.patch", misfit(root))
    put(root, "0002-b.patch", patch_of(root))
    linux = root.parent / "linux" / FILE
    linux.write_text("first\n" + linux.read_text())
    text = broken.read_text()
    code, out, err = rosk(root, "patches", "refresh")
    assert (code, out) == (3, "0002-b.patch: refreshed\n")
    assert "0001-a.patch cannot be refreshed" in err
    assert broken.read_text() == text
    assert rosk(root, "patches", "refresh", "absent.patch")[0] == 3


def test_the_table_follows_and_check_says_when_it_does_not(root: Path) -> None:
    put(root, "0001-a.patch", patch_of(root))
    readme = root / "patches/x86/README.md"
    assert rosk(root, "patches", "table")[0] == 0
    assert "| `0001-a.patch` | change it |" in readme.read_text()
    put(root, "0001-a.patch", patch_of(root).replace("change it", "change all"))
    code, _, err = rosk(root, "patches", "check")
    assert (code, "is stale" in err) == (0, True)
    assert rosk(root, "patches", "check", "--strict")[0] == 3
    code, _, err = rosk(root, "patches", "check", "--table")
    assert (code, "is stale" in err) == (0, False)
    assert "change all" in readme.read_text()
    rows = json.loads(rosk(root, "patches", "table", "--json")[1])
    assert [(row["patch"], row["subject"]) for row in rows] == [("0001-a.patch", "change all")]


def test_a_patch_that_the_version_has_is_marked_in_the_table(root: Path) -> None:
    put(root, "0001-a.patch", patch_of(root))
    linux = root.parent / "linux" / FILE
    lines = linux.read_text().splitlines()
    linux.write_text("\n".join([*lines[:9], "# changed", *lines[10:], ""]))
    code, out, _ = rosk(root, "patches", "check", "--table")
    assert (code, "already applied: upstream in 6.12.99" in out) == (3, True)
    assert "| in 6.12.99 |" in (root / "patches/x86/README.md").read_text()


def test_import(root: Path, tmp_path: Path) -> None:
    put(root, "0003-a.patch", patch_of(root))
    box = tmp_path / "a.mbox"
    box.write_text("From: A <a@example.org>\n" + patch_of(root, new="# other").replace("change it", "another: way"))
    assert rosk(root, "patches", "import", "--dry-run", box)[:2] == (0, "would be imported: 0004-another-way.patch\n")
    assert len(list((root / "patches/x86").iterdir())) == 1
    code, out, _ = rosk(root, "patches", "import", "--json", box)
    assert (code, json.loads(out)["imported"]) == (0, ["0004-another-way.patch"])
    assert "another: way" in (root / "patches/x86/README.md").read_text()
    code, _, err = rosk(root, "patches", "import", box)
    assert (code, "there already" in err) == (3, True)
    assert rosk(root, "patches", "import", tmp_path / "absent")[0] == 3


def test_import_takes_the_files_of_a_series_and_follows_names_without_numbers(root: Path, tmp_path: Path) -> None:
    put(root, "elide-dash.patch", patch_of(root))
    files = [tmp_path / "0001-a.patch", tmp_path / "0002-b.patch"]
    for number, file in enumerate(files, 1):
        head = f"From {'a' * 40} Mon Sep 17 00:00:00 2001\nFrom: A <a@example.org>\n"
        text = patch_of(root, new=f"# other {number}").replace("[PATCH] change it", f"[PATCH {number}/2] way {number}")
        file.write_text(head + text)
    code, _, err = rosk(root, "patches", "import", files[0], files[0])
    assert (code, "is given twice" in err) == (3, True)
    code, out, err = rosk(root, "patches", "import", "--json", *files)
    assert (code, json.loads(out)["imported"]) == (0, ["z-0001-way-1.patch", "z-0002-way-2.patch"]), err


def test_import_for_a_flavour_goes_on_after_the_projects_patches(root: Path, tmp_path: Path) -> None:
    put(root, "0003-a.patch", patch_of(root))
    (root / "patches/cloud/x86").mkdir(parents=True)
    settings = root / "config/rosk.yaml"
    settings.write_text(f"{settings.read_text()}flavours:\n  cloud:\n    patches: patches/cloud\n")
    box = tmp_path / "a.mbox"
    box.write_text("From: A <a@example.org>\n" + patch_of(root, new="# other").replace("change it", "another: way"))
    code, out, err = rosk(root, "patches", "import", "--flavour", "cloud", "--json", box)
    assert (code, json.loads(out)["imported"]) == (0, ["0004-another-way.patch"]), err
    box.write_text("From: A <a@example.org>\n" + patch_of(root))
    code, _, err = rosk(root, "patches", "import", "--flavour", "cloud", box)
    assert (code, "there already" in err) == (3, True)


def test_outside_of_a_project_nothing_is_written(tmp_path: Path) -> None:
    code, _, err = rosk(tmp_path, "patches", "table")
    assert (code, "config/rosk.yaml" in err) == (3, True)
    assert list(tmp_path.iterdir()) == []


def test_the_plan_takes_the_source_from_the_graph_of_a_build(root: Path) -> None:
    put(root, "0001-a.patch", patch_of(root))
    project = load_project(root, arch="x86")
    plan: dict[str, Any] = check_plan(project, CONTEXT, base="rosk-base:trixie", output=Path("/out"))
    source, check = plan["target"]["kernel-source"], plan["target"]["patch-check"]
    assert (source["target"], source["output"]) == ("kernel-source", ["type=cacheonly"])
    assert check["contexts"] == {"kernel-source": "target:kernel-source"}
    assert check["dockerfile"].endswith("/patches.Dockerfile")
    assert "0001-a.patch" not in json.dumps(plan)


def test_what_counts_as_bad() -> None:
    states = ["applies", "left-out", "fuzz", "upstream", "duplicate", "order", "fails", "malformed"]
    patches = tuple({"name": state, "state": state, "hunks": []} for state in states)
    assert [patch["name"] for patch in Checked(version="6", patches=patches, refreshed={}).bad] == states[2:]


def test_a_name_that_no_file_can_have(root: Path) -> None:
    name = "d/" * 3000 + "x"
    put(root, "0001-long.patch", f"--- a/{name}\n+++ b/{name}\n@@ -0,0 +1,1 @@\n+x\n")
    code, _, said = rosk(root, "patches", "check")
    assert (code, "path is too long" in said) == (3, True)


def test_a_temporary_folder_that_cannot_be_written(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(root, "0001-change.patch", patch_of(root))
    monkeypatch.setattr(tempfile, "tempdir", str(root / "config/rosk.yaml"))
    code, _, said = rosk(root, "patches", "check")
    assert (code, "cannot use the files of the check" in said) == (3, True)
