"""Patches of the real default kernel, checked on the source that its build takes."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path

import pytest

from builder.stages.patch import apply_patches
from tests.conftest import ROOT, run_rosk
from tests.contract import Release

pytestmark = [pytest.mark.engine, pytest.mark.real]

FILE = "kernel/module/main.c"


def make_patch(lines: list[str], number: int, new: list[str], *, offset: int = 0) -> str:
    """A patch that puts lines in the place of one (from 1), with three lines of context and a wrong line number."""
    first = number - 3
    before, after = lines[first - 1 : number - 1], lines[number : number + 3]
    body = [*(f" {line}" for line in before), f"-{lines[number - 1]}", *(f"+{line}" for line in new)]
    body += [f" {line}" for line in after]
    at = first - offset
    head = [f"--- a/{FILE}", f"+++ b/{FILE}", f"@@ -{at},7 +{at},{6 + len(new)} @@"]
    return "\n".join([*head, *body, ""])


@pytest.fixture
def lines(release: Release, tmp_path: Path) -> list[str]:
    """The file FILE of the kernel's source."""
    (archive,) = (ROOT / "dist/kernel").glob("linux-*-src.tgz")
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.name.endswith(f"/{FILE}"):
                opened = tar.extractfile(member)
                assert opened is not None
                return opened.read().decode().splitlines()
    pytest.fail(f"there is no {FILE} in {archive}")


def test_patches_of_the_default_kernel(lines: list[str], tmp_path: Path) -> None:
    project = tmp_path / "project"
    for name in ("config", "lists"):
        shutil.copytree(ROOT / name, project / name)
    folder = project / "patches/x86"
    folder.mkdir(parents=True)
    middle = next(at for at in range(len(lines) // 2, len(lines)) if lines[at - 1].strip() not in ("", "{", "}"))
    (folder / "0001-off.patch").write_text(make_patch(lines, middle, ["/* one */", "/* two */"], offset=9))
    upstream = make_patch(
        [*lines[: middle + 39], "/* old */", *lines[middle + 40 :]], middle + 40, [lines[middle + 39]]
    )
    (folder / "0002-upstream.patch").write_text(upstream)
    done = run_rosk("patches", "check", "-C", project, "--arch", "x86", "--json")
    found = json.loads(done.out)
    assert (done.code, [(each["state"], each["offset"]) for each in found["patches"]]) == (
        3,
        [("applies", 9), ("upstream", 0)],
    )
    (folder / "0002-upstream.patch").unlink()
    assert run_rosk("patches", "refresh", "-C", project, "--arch", "x86").code == 0
    assert run_rosk("patches", "check", "--strict", "-C", project, "--arch", "x86").code == 0
    tree = tmp_path / "tree"
    (tree / FILE).parent.mkdir(parents=True)
    (tree / FILE).write_text("\n".join([*lines, ""]))
    apply_patches(tree, folder)
    assert (tree / FILE).read_text().splitlines()[middle - 1 : middle + 1] == ["/* one */", "/* two */"]
