"""`rosk patches` through the real engine: on the source that a build takes, of whatever kind."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from builder.errors import InputError
from builder.patches.run import PatchOptions, run_check, run_refresh
from tests.conftest import run_rosk
from tests.graph.conftest import FAKE_TREE, VERSION, FakeProject, use

pytestmark = pytest.mark.engine

NAME = "kernel/printk.c"


def make_patch(folder: Path, number: int, new: str) -> str:
    """A patch of git that replaces a line (from 1) of the file NAME of the fake tree."""
    lines = (FAKE_TREE / NAME).read_text().splitlines()
    for place, line in (("a", lines[number - 1]), ("b", new)):
        (folder / place / NAME).parent.mkdir(parents=True)
        (folder / place / NAME).write_text("\n".join([*lines[: number - 1], line, *lines[number:], ""]))
    argv = ["git", "diff", "--no-index", "--no-prefix", "a", "b"]
    return subprocess.run(argv, cwd=folder, capture_output=True, text=True).stdout


@pytest.fixture
def change(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_patch(tmp_path_factory.mktemp("change"), 8, "int printk(const char *words)")


def options(fake: FakeProject, *, strict: bool = False) -> PatchOptions:
    return PatchOptions(root=fake.root, arch="x86", allow_install=False, as_json=True, strict=strict)


def test_check_and_refresh_on_a_tree(fake: FakeProject, change: str, capsys: pytest.CaptureFixture[str]) -> None:
    fake.write("patches/x86/0001-a.patch", change)
    fake.write("patches/x86/0002-new.patch", f"X-Rosk-Kernel: >6.12\n\n{change}")
    fake.edit(f"linux/{NAME}", lambda text: "/* first */\n" + text)
    checked = run_check(options(fake))
    assert checked.version == VERSION
    assert [(patch["state"], patch["offset"]) for patch in checked.patches] == [("applies", 1), ("left-out", 0)]
    assert run_refresh(options(fake)) == ["0001-a.patch"]
    assert run_check(options(fake, strict=True)).inexact == []
    assert [line for line in capsys.readouterr().out.splitlines() if line == "{"] == ["{"] * 3


def test_the_command_on_an_archive_names_what_fails(fake: FakeProject, archive: Path, change: str) -> None:
    use(fake, source="tarball", path=str(archive))
    fake.write("patches/x86/0001-a.patch", change.replace("\n-int printk", "\n-int no_such"))
    done = run_rosk("patches", "check", "-C", fake.root, "--arch", "x86", "--no-install", "--json")
    assert done.code == 3, done.err
    (patch,) = json.loads(done.out)["patches"]
    assert (patch["state"], patch["hunks"][0]["file"]) == ("fails", NAME)
    assert "error:" in done.err and "next:" in done.err


@pytest.mark.parametrize("command", ["check", "refresh"])
def test_the_builder_that_is_named_is_asked(fake: FakeProject, change: str, command: str) -> None:
    fake.write("patches/x86/0001-a.patch", change)
    where = ("-C", fake.root, "--arch", "x86", "--no-install")
    done = run_rosk("patches", command, *where, "--builder", "rosk-no-such-builder")
    assert (done.code, "rosk-no-such-builder" in done.err) == (5, True), done.err


def test_a_source_that_is_missing_is_an_error_of_the_settings(fake: FakeProject, change: str) -> None:
    fake.write("patches/x86/0001-a.patch", change)
    use(fake, source="tarball", path="absent.tar.xz")
    done = run_rosk("patches", "check", "-C", fake.root, "--arch", "x86", "--no-install")
    assert (done.code, "absent.tar.xz" in done.err) == (3, True)


def test_a_build_leaves_out_what_is_for_other_versions(fake: FakeProject) -> None:
    """The patch would not apply; a build that took it would fail."""
    wrong = "--- a/kernel/printk.c\n+++ b/kernel/printk.c\n@@ -1 +1 @@\n-no such line\n+another\n"
    fake.write("patches/x86/0001-wrong.patch", f"X-Rosk-Kernel: >={VERSION}\n\n{wrong}")
    with pytest.raises(InputError, match=r"0001-wrong\.patch|does not apply"):
        fake.build()
    fake.write("patches/x86/0001-wrong.patch", f"X-Rosk-Kernel: <{VERSION}\n\n{wrong}")
    assert "compile" in fake.build().result.ran
