"""A real kernel, edited and built again and again: what comes out is what a build from nothing gives, bit for bit.

The kernel is as small as one with modules gets. It is compiled from nothing four times, and once more with another
toolchain; all else builds on what is there.
"""

from __future__ import annotations

import secrets
import tarfile
from pathlib import Path

import pytest

from builder.engine.base import BaseImage
from tests.graph.conftest import FakeProject
from tests.graph.edits import Edit, content, option, outcome, setting
from tests.graph.kills import killed_build
from tests.graph.test_never_stale import Proof, is_kept
from tests.real.small import reset_small, small_project

pytestmark = [pytest.mark.engine, pytest.mark.heavy, pytest.mark.timeout(7200)]

DUMMY = """\
--- a/drivers/net/dummy.c
+++ b/drivers/net/dummy.c
@@ -44,1 +44,1 @@
-#define DRV_NAME\t"dummy"
+#define DRV_NAME\t"dummy-of-the-test"
"""
UNAME = """\
--- a/include/linux/uts.h
+++ b/include/linux/uts.h
@@ -9,1 +9,1 @@
-#define UTS_SYSNAME "Linux"
+#define UTS_SYSNAME "Linuxoid"
"""
TYPES = """\
--- a/include/linux/compiler_types.h
+++ b/include/linux/compiler_types.h
@@ -2,2 +2,3 @@
 #ifndef __LINUX_COMPILER_TYPES_H
 #define __LINUX_COMPILER_TYPES_H
+#define NOTHING_USES_THIS
"""


COPY_PAGE = """\
--- a/arch/x86/include/asm/page_64.h
+++ b/arch/x86/include/asm/page_64.h
@@ -62,1 +62,1 @@
-void copy_page(void *to, void *from);
+void copy_page(void *to, const void *from);
"""


def patched(**patches: str) -> Edit:
    """Have these patches and no others."""

    def apply(project: FakeProject) -> None:
        folder = project.root / "patches/x86"
        for path in folder.glob("*.patch"):
            path.unlink()
        for name, text in patches.items():
            project.write(f"patches/x86/{name}.patch", text)

    return Edit(f"patches {', '.join(patches) or 'removed'}", apply)


def as_it_was(project: FakeProject) -> None:
    reset_small(project)
    patched().apply(project)


@pytest.fixture
def project(base: BaseImage, tmp_path: Path) -> FakeProject:
    return small_project(base, tmp_path / "project")


def test_edits(project: FakeProject, tmp_path: Path) -> None:
    proof, scope = Proof(project, tmp_path / "copies"), secrets.token_hex(6)
    first = project.build(scope)
    release = first.manifest["release"]
    assert first.compiled["objects"] > 200
    known = outcome(project, first), project.root / "dist"
    proof.known[content(project)] = known

    # One line of a module: make does not look elsewhere.
    built = proof.build(patched(dummy=DUMMY), scope=scope)
    assert is_kept(built)
    assert built.compiled["objects"] == 1
    assert "make looks into drivers drivers/net alone" in (project.root / "dist/build.log").read_text()

    # One line of a module and one of a header of built-in code, an option on, one off, and one from m to y.
    edits = (patched(dummy=DUMMY, uname=UNAME), option("MINIX_FS", "m"), option("SQUASHFS", "n"), option("VETH", "y"))
    built = proof.build(*edits, scope=scope)
    assert is_kept(built)
    assert built.compiled["objects"] < first.compiled["objects"] / 2

    # A change to what every object includes, killed in the middle.
    proof.apply(patched(uname=UNAME, types=TYPES))
    assert killed_build(project, once="cc1", after=10, scope=scope, release=release)
    proof.said.append("build, killed")

    # And back, but for a patch: what was built before as a whole would come from BuildKit's cache.
    proof.apply(Edit("all as it was", as_it_was))
    built = proof.build(patched(uname=UNAME), scope=scope)
    assert is_kept(built)

    # Another kernel release, with an object tree of its own, and back.
    proof.apply(setting("org: small", "suffix: other\norg: small"))
    assert project.build(scope).manifest["release"].endswith("-other")
    proof.build(setting("suffix: other\norg: small", "org: small"), scope=scope)

    # Another toolchain, which compiles to the same: nothing of the object tree is used, and the bits are equal.
    proof.apply(Edit("all as it was", as_it_was))
    proof.apply(setting("  suite: trixie\n", "  suite: trixie\n  packages: [gawk]\n"))
    proof.known[content(project)] = known
    built = proof.build(scope=scope)
    assert not is_kept(built)
    assert built.compiled["objects"] == first.compiled["objects"]


def test_symbol_versions_of_assembler_source(project: FakeProject, tmp_path: Path) -> None:
    """kbuild notes nowhere what they follow from: the object of copy_page is not made from this header."""
    proof, scope = Proof(project, tmp_path / "copies"), secrets.token_hex(6)
    proof.apply(option("MODVERSIONS", "y"))
    project.build(scope)
    before = version_of("copy_page", project)
    built = proof.build(patched(copy_page=COPY_PAGE), scope=scope)
    assert is_kept(built)
    assert version_of("copy_page", project) != before


BTF = ("DEBUG_KERNEL", "DEBUG_INFO_DWARF_TOOLCHAIN_DEFAULT", "BPF_SYSCALL", "DEBUG_INFO_BTF", "NETFILTER")


def test_types_of_modules(project: FakeProject, tmp_path: Path) -> None:
    """Those of a module (BTF) follow from the kernel's: kbuild puts new ones into a file that has some.

    resolve_btfids sorts the functions that nf_conntrack gives to BPF, and their flags, as it did the first time.
    """
    proof, scope = Proof(project, tmp_path / "copies"), secrets.token_hex(6)
    proof.apply(setting("  suite: trixie\n", "  suite: trixie\n  packages: [dwarves]\n"))
    for name in BTF:
        proof.apply(option(name, "y"))
    proof.apply(option("NF_CONNTRACK", "m"))
    project.build(scope)
    config = (project.root / "dist/kernel/config").read_text()
    assert "CONFIG_DEBUG_INFO_BTF_MODULES=y\n" in config
    built = proof.build(patched(uname=UNAME), scope=scope)
    assert is_kept(built)
    assert built.compiled["objects"] < 50


def version_of(symbol: str, project: FakeProject) -> str:
    """The version of a symbol, as modules that are built later are told."""
    (package,) = (project.root / "dist/kernel").glob("build-*")
    with tarfile.open(package) as tar:
        (name,) = (name for name in tar.getnames() if name.endswith("/Module.symvers"))
        text = tar.extractfile(name)
        assert text
        lines = (line.split() for line in text.read().decode().splitlines())
        return next(words[0] for words in lines if words[1] == symbol)
