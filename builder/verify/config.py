"""Whether the config that ships is one that the source that ships has: `make olddefconfig` leaves it as it is.

kconfig asks the toolchain what it can (Documentation/kbuild/kconfig-macro-language.rst), so that this can be told only
with the toolchain of the build. The source's Makefiles are programs of whoever made the release: they run as nobody.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from builder.arch import ARCHES, Arch
from builder.errors import RoskError
from builder.process import run
from builder.stages.dotconfig import set_options
from builder.verify.model import Finding, MissingProgram, Status, Unreadable, check, count, skipped, verdict
from builder.verify.subject import Subject
from builder.verify.unpack import read_package

PROGRAMS = ("setpriv", "make", "gcc", "flex", "bison")
# What kconfig writes of the toolchain (init/Kconfig). Only gcc is tried: a release of clang is of another compiler.
TOOLCHAIN = ("CC_VERSION_TEXT", "GCC_VERSION", "AS_VERSION", "LD_VERSION", "RUSTC_VERSION", "PAHOLE_VERSION")
_NOBODY = 65534
_SECONDS = 600.0


@check("config-stable", meaning="built again from this source and config, the kernel is another one", cheap=False)
def config_stable(subject: Subject) -> Finding:
    """`make olddefconfig`, with the source package and the compiler of the build, changes nothing."""
    shipped, arch = _shipped(subject), ARCHES.get(subject.release.a)
    if arch is None:
        return skipped(f"the architecture {subject.release.a} is unknown")
    for program in PROGRAMS:
        if shutil.which(program) is None:
            raise MissingProgram(program)
    wanted = set_options(shipped).get("CONFIG_CC_VERSION_TEXT", "").strip('"')
    own = run(["gcc", "--version"]).stdout.partition("\n")[0]
    if wanted != own:
        return skipped(f"the config is for {wanted or 'an unknown compiler'}, this machine has {own}")
    if os.geteuid() != 0:
        return Finding(status=Status.UNCHECKED, saw="only root can run the source's Makefiles as nobody")
    if "source" not in subject.release.packages:
        raise Unreadable("there is no source package")
    with TemporaryDirectory(prefix="rosk-config-") as folder:
        return _compare(subject.release.packages["source"], shipped, arch, Path(folder))


def _compare(package: Path, shipped: str, arch: Arch, folder: Path) -> Finding:
    try:
        before, after = (
            set_options(shipped),
            set_options(_olddefconfig(_source(package, folder), shipped, arch, folder)),
        )
    except RoskError as error:
        return verdict("make olddefconfig failed", [error.what, *error.details])
    others = [name for name in TOOLCHAIN if before.get(f"CONFIG_{name}") != after.get(f"CONFIG_{name}")]
    if others:
        return skipped(f"this machine's toolchain is not the build's: {', '.join(others)} differ")
    return verdict(
        f"{count(len(before), 'option')}, against what make olddefconfig makes of them", list(_changes(before, after))
    )


def _changes(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            yield f"{name} is {before.get(name, 'off')} in the release, and becomes {after.get(name, 'off')}"


def _source(package: Path, folder: Path) -> Path:
    """The tree of the source package, unpacked where nobody can read it.

    Raises:
        Unreadable: It cannot be unpacked, or has no tree.
    """
    contents = read_package(package, folder / "source")
    if contents.damage:
        raise Unreadable(f"the source package cannot be read: {contents.damage}")
    found = [path.parent for path in ((folder / "source/Makefile"), *(folder / "source").glob("*/Makefile"))]
    trees = [path for path in found if (path / "Makefile").is_file() and (path / "Kconfig").is_file()]
    if not trees:
        raise Unreadable("the source package has no Makefile and Kconfig")
    return trees[0]


def _olddefconfig(tree: Path, shipped: str, arch: Arch, folder: Path) -> str:
    """What kconfig makes of a config.

    Raises:
        RoskError: make failed.
    """
    out = folder / "out"
    out.mkdir()
    (out / ".config").write_text(shipped)
    for path in (out, out / ".config"):
        os.chown(path, _NOBODY, _NOBODY)
    folder.chmod(0o755)
    argv: list[str | Path] = ["setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups", "--no-new-privs"]
    argv += ["make", "-s", "-C", tree, f"O={out}", f"ARCH={arch.kbuild}", "olddefconfig"]
    run(argv, env={"HOME": str(out)}, timeout=_SECONDS)
    return (out / ".config").read_text(errors="replace")


def _shipped(subject: Subject) -> str:
    path = subject.tree("kernel") / f"boot/config-{subject.release.v}"
    if not path.is_file():
        raise Unreadable(f"there is no {path.name}")
    return path.read_text(errors="replace")
