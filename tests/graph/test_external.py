"""External modules as stages of the graph: built against the headers, signed, listed like the rest, never stale."""

from __future__ import annotations

import subprocess
import tarfile
from collections.abc import Iterator
from functools import partial

import pytest

from builder.build import Built
from builder.engine.base import BaseImage
from builder.errors import BuildError
from builder.verify.modulesignature import read_signature
from tests.graph.conftest import FakeProject
from tests.graph.edits import new_project
from tests.keys import make_key
from tests.unit.stages.test_external import BASE, USER

pytestmark = pytest.mark.engine

GIT = ("git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
MODULES = """\
modules:
  - name: base
    source: folder
    path: external/base
  - name: user
    source: git
    path: external/user
    commit: {commit}
    subdir: driver
    install: updates
signing:
  key: {key}
"""
NOTHING_COMPILED = {"external", "signed", "split", "kernel-package", "os-kernel", "release"}


@pytest.fixture(scope="module")
def project(base: BaseImage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeProject]:
    project = new_project(base, tmp_path_factory.mktemp("external"))
    project.write("external/base/Kbuild", "obj-m := base.o\n")
    project.write("external/base/base.c", BASE)
    project.write("external/user/driver/Makefile", "obj-m := user.o more.o\n")
    project.write("external/user/driver/user.c", USER)
    # What this file includes is of a submodule.
    project.write("external/user/driver/more.c", '#include "common/more.h"\n' + BASE.replace("base_answer", "MORE"))
    project.write("external/common/more.h", "#define MORE more\n")
    git = partial(subprocess.run, check=True, capture_output=True, text=True)
    common, user = project.root / "external/common", project.root / "external/user"
    for repository in (common, user):
        git([*GIT, "-C", repository, "init", "--quiet"])
        git([*GIT, "-C", repository, "add", "."])
        git([*GIT, "-C", repository, "commit", "--quiet", "-m", "one"])
    local = ("-c", "protocol.file.allow=always")
    git([*GIT, "-C", user, *local, "submodule", "--quiet", "add", str(common), "driver/common"])
    git([*GIT, "-C", user, "commit", "--quiet", "-m", "two"])
    commit = git([*GIT, "-C", user, "rev-parse", "HEAD"])
    key = make_key(tmp_path_factory.mktemp("keys") / "key.pem")
    project.edit("config/rosk.yaml", lambda text: text + MODULES.format(commit=commit.stdout.strip(), key=key))
    project.edit("config/x86/kernel-config", lambda text: f"{text}CONFIG_MODULE_SIG=y\n")
    project.edit("lists/x86/modules-extra.list", lambda text: f"{text}updates/more.ko\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("ROSK_SIGNING_KEY", raising=False)
        yield project


@pytest.fixture(scope="module")
def built(project: FakeProject) -> Built:
    return project.build()


def packages(project: FakeProject) -> dict[str, dict[str, bytes]]:
    """`kernel` and `extras`: path under lib/modules/V → content."""
    found: dict[str, dict[str, bytes]] = {"kernel": {}, "extras": {}}
    for kind, pattern in (("kernel", "linux-*-x86.tar.gz"), ("extras", "extra-linux-*.tar.gz")):
        (package,) = (project.root / "dist/kernel").glob(pattern)
        with tarfile.open(package) as tar:
            for member in tar:
                if member.isreg() and (file := tar.extractfile(member)):
                    found[kind][member.name.partition(f"/{project.release}/")[2]] = file.read()
    return found


def test_modules_are_packed_like_the_rest(project: FakeProject, built: Built) -> None:
    """By the lists, with what they depend on, known to depmod and signed."""
    found = packages(project)
    assert {"extra/base.ko", "updates/user.ko"} <= set(found["kernel"])
    assert "updates/more.ko" in found["extras"] and "updates/more.ko" not in found["kernel"]
    assert b"updates/user.ko: extra/base.ko\n" in found["kernel"]["modules.dep"]
    for package in found.values():
        assert [path for path, content in package.items() if path.endswith(".ko") and not read_signature(content)] == []
    user = found["kernel"]["updates/user.ko"]
    assert b".debug_info" not in user
    base, other = built.manifest["modules"]
    assert (base["name"], base["source"], base["revision"]) == ("base", "folder", None)
    assert (other["name"], other["revision"], len(other["sha256"])) == (
        "user",
        built.manifest["settings"]["modules"][1]["commit"],
        64,
    )


def test_nothing_changed(project: FakeProject, built: Built) -> None:
    again = project.build()
    assert not again.result.ran
    assert again.manifest == built.manifest


def test_an_edit_compiles_no_kernel(project: FakeProject, built: Built) -> None:
    """Nor the module after it, which sees the same exports."""
    before = packages(project)["kernel"]
    project.edit("external/base/base.c", lambda text: text.replace('"base"', '"edited"'))
    again = project.build()
    assert again.result.ran == NOTHING_COMPILED
    after = packages(project)["kernel"]
    assert {path for path in after if after[path] != before.get(path)} == {"extra/base.ko"}
    assert again.manifest["modules"][0]["sha256"] != built.manifest["modules"][0]["sha256"]


def test_what_a_module_exports_counts_for_the_next(project: FakeProject, built: Built) -> None:
    """A module that no longer builds fails the build, and its whole log is there."""
    project.edit("external/base/base.c", lambda text: text.replace("base_answer", "another_answer"))
    with pytest.raises(BuildError, match="the module user does not build") as caught:
        project.build()
    assert "base_answer" in "\n".join([caught.value.what, *caught.value.details])
    assert "base_answer" in (project.root / "dist/build.log").read_text()
    project.write("external/base/base.c", BASE)
    assert project.build().manifest["outputs"] == built.manifest["outputs"]
