"""Compile the kernel and its modules in an object tree that is kept, and hand on what later stages need.

Outputs, under --out: `boot/` (vmlinuz-V, System.map-V, config-V), `modules/lib/modules/V/`, `objtree/` (the part of
the object tree that external modules need), `log/compile.log`. The settings that make the result the same for equal
input are those of Documentation/kbuild/reproducible-builds.rst.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import re
import shutil
import signal
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NoReturn

from builder.stages import initramfs, narrow, symversions
from builder.stages import journal as sources
from builder.stages.common import StageError, emit, progress, stage_main, write_json
from builder.stages.compilercache import CompilerCache, may_cache, wrap
from builder.stages.crosshost import CrossHost
from builder.stages.hostlink import link_objtool, static_arguments, wrap_pkg_config
from builder.stages.journal import Journal
from builder.stages.maketools import CLANG, GCC, add_options, tool_arguments, toolchain_digest
from builder.stages.modinstall import Installation, UnknownCommandError
from builder.stages.objtree import KEEP, ObjectTree
from builder.stages.runmake import Make, MakeError, cpus, make_environment, new_log
from builder.stages.shadowing import shadows
from builder.stages.signingoptions import signs

# Under the object tree; the headers stage chooses from it. Keys lie in certs/, which is not here.
_OBJTREE = (
    ".config",
    "System.map",
    "Module.symvers",
    "include/config/auto.conf",
    "include/config/kernel.release",
    "include/generated",
    "arch/{srcarch}/include/generated",
    "arch/{srcarch}/kernel/module.lds",
    "arch/{srcarch}/kernel/ftrace-mod.o",
    "arch/{srcarch}/lib/crtsavres.o",
    "scripts",
    "tools/objtool/objtool",
    "tools/bpf/resolve_btfids/resolve_btfids",
)
# Where vmlinux alone is newer, kbuild makes the types (BTF) of a module once more in the file that has them already, in
# which resolve_btfids has sorted what it now sorts again. With this word the module is linked first, as from nothing:
# scripts/Makefile.modfinal (since Linux 5.11) goes by it when it leaves vmlinux out of what is newer.
_LINKED_ANEW = "newer_prereqs_except=$(newer-prereqs)"
# Whatever the config says (in any version's words), modules are installed as plain .ko: old kmods read no other.
_PLAIN_MODULES = tuple(f"CONFIG_MODULE_COMPRESS{suffix}=" for suffix in ("", "_ALL", "_GZIP", "_XZ", "_ZSTD"))
_NOT_IN_OBJTREE = ("*.cmd", "*.o", "*.a", "*.d", "*.su")


@dataclass(frozen=True, kw_only=True)
class Build:
    """What to compile and with what.

    Attributes:
        tree: The source tree; nothing but the times of its files is written to.
        obj: The object tree; may hold an earlier build.
        arch: kbuild's ARCH: x86_64, arm64.
        image: The image's make target: bzImage, Image.
        image_path: The image in the object tree: arch/x86/boot/bzImage.
        cross_compile: The prefix of the cross compiler, or empty.
        compiler: gcc or clang.
        make_variables: Further words for make, quoted for a shell.
        epoch: Seconds since 1970 that date the kernel.
        toolchain: A file that lists the toolchain's packages with their versions.
        release: The kernel release.
        config: The text of the complete .config.
        ccache: The folder of the compiler cache, or None for none.
        ccache_config: Its configuration file; need not exist.
    """

    tree: Path
    obj: Path
    arch: str
    image: str
    image_path: Path
    cross_compile: str
    epoch: int
    toolchain: Path
    release: str
    config: str
    ccache: Path | None
    ccache_config: Path | None = None
    compiler: str = GCC
    make_variables: str = ""

    @property
    def cc(self) -> str:
        """The compiler of the kernel, as make is to call it."""
        return CLANG if self.compiler == CLANG else f"{self.cross_compile}gcc"

    @cached_property
    def tools(self) -> str:
        """A checksum over the toolchain, for which all of the compiler is read."""
        return toolchain_digest(self.toolchain, self.cc)

    def on(self, option: str) -> bool:
        return re.search(rf"^CONFIG_{option}=y$", self.config, re.MULTILINE) is not None

    @property
    def cache(self) -> Path | None:
        """The folder of the compiler cache, if that takes part (`may_cache`)."""
        return self.ccache if may_cache(self.config) else None

    @property
    def keeps_versions(self) -> bool:
        """Whether genksyms makes symbol versions, and the compiler cache has them with the objects."""
        made = self.on("MODVERSIONS") and not self.on("GENDWARFKSYMS")
        return made and self.cache is not None and self.compiler == GCC

    @property
    def srcarch(self) -> str:
        """The architecture's folder: x86, arm64."""
        return self.image_path.parts[1]


def make_arguments(build: Build, jobs: int) -> list[str]:
    """make's command line, without targets."""
    words = ["make", "-C", str(build.tree), f"O={build.obj}", f"-j{jobs}", f"ARCH={build.arch}"]
    words.append(f"CROSS_COMPILE={build.cross_compile}")
    words += tool_arguments(build.compiler, build.make_variables)
    # gcc's plugins are host programs too, and have to be shared objects.
    if not build.on("GCC_PLUGINS"):
        words += static_arguments(build.obj / ".rosk", build.tree)
    if build.on("DEBUG_INFO_BTF_MODULES"):
        words.append(_LINKED_ANEW)
    if build.cache is not None:
        versions = symversions.make_words(build.tree) if build.keeps_versions else []
        compiler = symversions.compiler(f"ccache {build.cc}") if versions else f"CC=ccache {build.cc}"
        # What only preprocesses (linker scripts) has nothing to gain from the cache.
        words += [compiler, f"CPP={build.cc} -E", f"HOSTCC=ccache {build.compiler}", *versions]
    return words


def compile_kernel(build: Build, make: Make, kept: ObjectTree, out: Path, passing: Path | None = None) -> None:
    """Build the image and the modules in the object tree, and install the modules under `out`.

    Args:
        passing: What make's environment names that is called otherwise in each build.
    """
    words = make_arguments(build, cpus())
    modular = build.on("MODULES")
    targets = [build.image, "modules"] if modular else [build.image]
    make_all([*words, *targets], make, kept)
    if not modular:
        return
    progress(make.expected, make.expected, "modules_install")
    install = [f"INSTALL_MOD_PATH={out / 'modules'}", "INSTALL_MOD_STRIP=1", "DEPMOD=true"]
    # The key that signs is not here; it signs later, what is stripped here.
    unsigned = ["CONFIG_MODULE_SIG_ALL="] if signs(build.config) else []
    own = Installation(
        make=[*words, *install, *_PLAIN_MODULES, *unsigned],
        environment=make.environment,
        obj=build.obj,
        root=out / "modules",
        release=build.release,
        keep=build.obj / KEEP / "modules",
        rules=kept.rules,
        passing=str(passing) if passing else "",
        jobs=cpus(),
    )
    install_modules(own, make)


def make_all(words: Sequence[str], make: Make, kept: ObjectTree) -> None:
    """Run make in an object tree, in no more folders of it than have to be looked into."""
    part = kept.part
    if part:
        path = make.environment.get("PATH", os.defpath)
        make.note(f"of the folders make looks into {' '.join(part.folders) or 'none'} alone")
        make.run([*words, *narrow.WORDS], part.environment(kept.folder / ".rosk/narrow", path))
        if kept.is_made():
            return
        make.note("make looks into all folders: it has not made all that it should have")
    make.run(words)


def install_modules(own: Installation, make: Make) -> None:
    """Do what `make modules_install` does, or have it done."""
    try:
        done = own.run()
        make.note(f"{done.modules} modules are installed as by modules_install, {done.stripped} of them stripped anew")
    except UnknownCommandError as error:
        make.note(f"modules_install is run as it is: {error}")
        make.run([*own.make, "modules_install"])


def collect(build: Build, out: Path) -> None:
    """Bring the image, the modules and the object tree's useful part into their final form under `out`."""
    release = build.release
    boot = out / "boot"
    boot.mkdir(parents=True, exist_ok=True)
    for source, name in (
        (build.image_path, "vmlinuz"),
        (Path("System.map"), "System.map"),
        (Path(".config"), "config"),
    ):
        if not (build.obj / source).is_file():
            raise StageError(
                f"the build made no {source}", hint="see that the image's target and path fit the architecture"
            )
        shutil.copyfile(build.obj / source, boot / f"{name}-{release}")
    installed = out / "modules/lib/modules"
    installed.mkdir(parents=True, exist_ok=True)
    others = [path.name for path in installed.iterdir() if path.name != release]
    if others:
        raise StageError(f"the modules were installed as {others[0]}, not {release}", hint="build from a clean source")
    (installed / release).mkdir(exist_ok=True)
    for link in ("build", "source"):
        (installed / release / link).unlink(missing_ok=True)
    copy_objtree(build.obj, out / "objtree", (name.format(srcarch=build.srcarch) for name in _OBJTREE))
    if not build.on("GCC_PLUGINS"):
        link_objtool(build.obj, out / "objtree")
    if build.cross_compile:
        # Modules are built where the kernel runs, not here.
        CrossHost(build.obj, build.obj / KEEP / "cross", f"{build.cross_compile}gcc").replace(out / "objtree", cpus())


def copy_objtree(obj: Path, out: Path, names: Iterable[str]) -> None:
    """Copy files and folders of the object tree, as far as they exist, without objects and kbuild's notes."""
    for name in names:
        source, target = obj / name, out / name
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns(*_NOT_IN_OBJTREE))
        elif source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)


def _stopped(number: int, _frame: object) -> NoReturn:
    sys.exit(128 + number)


def recipe(build: Build) -> dict[str, str]:
    """What an object tree is made with beside source and config, by what it is called when it differs."""
    return {
        "the toolchain": build.tools,
        "the date of the source": str(build.epoch),
        "the architecture": f"{build.arch} {build.cross_compile}",
        "the compiler": f"{build.compiler} {build.make_variables}",
        "rosk itself": digest(*sorted(Path(__file__).parent.glob("*.py"))),
    }


def digest(*files: Path) -> str:
    """SHA-256 over files, hexadecimal."""
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def build_from(args: argparse.Namespace) -> Build:
    """What the command line and the configure stage ask for."""
    return Build(
        tree=args.tree.resolve(),
        obj=args.obj.resolve(),
        arch=args.arch,
        image=args.image,
        image_path=args.image_path,
        cross_compile=args.cross_compile,
        epoch=args.epoch,
        toolchain=args.toolchain,
        release=(args.configured / "kernel.release").read_text().strip(),
        config=(args.configured / "config").read_text(),
        ccache=args.ccache,
        ccache_config=args.ccache_config,
        compiler=args.compiler,
        make_variables=args.make_variables,
    )


def compiler_cache(build: Build, journal: Journal, named: Sequence[str], temporary: Path) -> CompilerCache | None:
    """The compiler cache for the sources of this build, where it has one.

    Args:
        named: The names of headers that Makefiles speak of.
        temporary: The folder for its passing files.
    """
    if build.cache is None:
        return None
    return CompilerCache(
        build.cache,
        build.cc,
        build.tools,
        shadows(build.tree, journal, build.srcarch, named),
        config=build.ccache_config,
        temporary=temporary,
        genksyms=genksyms_of(build, journal),
    )


def genksyms_of(build: Build, journal: Journal) -> symversions.Genksyms | None:
    """What makes the symbol versions that the compiler cache keeps, where it keeps some."""
    if not build.keeps_versions:
        return None
    files = ((path, entry.digest) for path, entry in journal.items())
    return symversions.genksyms(build.tree, build.obj / ".config", files)


def wrappers(build: Build) -> Path:
    """A folder of programs that stand before the toolchain's on PATH."""
    folder = build.obj / ".rosk/bin"
    shutil.rmtree(folder, ignore_errors=True)
    if not build.on("GCC_PLUGINS"):
        wrap_pkg_config(folder)
    if build.cache is None and build.compiler == GCC:  # the compiler cache has its own
        for name in {GCC, build.cc}:
            wrap(name, folder)
    return folder


def run(build: Build, journal: str, log: Path, objects: int, out: Path) -> None:
    """Do the stage's work, for a source tree with this journal.

    Raises:
        MakeError: The kernel does not compile.
        OSError: A file cannot be read or written.
    """
    build.obj.mkdir(parents=True, exist_ok=True)
    # The engine's own lock on a cache mount ends with the engine, which what a step has started may outlive: that has
    # this one with it.
    lock = os.open(build.obj, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    kept = ObjectTree(
        folder=build.obj,
        tree=build.tree,
        srcarch=build.srcarch,
        recipe=recipe(build),
        noted=build.compiler == GCC,
    )
    known = kept.open(build.config, journal)
    temporary = kept.keep / "ccache"
    cache = compiler_cache(build, known, kept.named, temporary)
    initramfs.prepare(build.config, build.tree, build.obj, build.epoch)
    log.write_text("".join(f"{line}\n" for line in kept.said), errors="backslashreplace")
    environment = {**make_environment(build.epoch), **(cache.environment() if cache else {})}
    environment["PATH"] = f"{wrappers(build)}:{environment.get('PATH', os.defpath)}"
    make = Make(log, environment, objects, held=(lock,))
    try:
        compile_kernel(build, make, kept, out, cache.passing if cache else None)
    except MakeError as error:
        if error.whole:
            kept.close(complete=False)
        raise
    kept.close(complete=True)
    shutil.rmtree(temporary, ignore_errors=True)
    collect(build, out)
    report = {
        "objects": make.done,
        "object_tree": kept.said,
        "compiler_cache": cache.counts() if cache else {},
        "symbol_versions": cache.counts(symversions.STATISTICS) if cache else {},
        "warnings": cache.warnings if cache else [],
    }
    write_json(out / "report.json", report)
    if cache:
        cache.close()


def main() -> None:
    """Command line; see the module's text. The folder --configured is the output of the configure stage."""
    parser = argparse.ArgumentParser(prog="compile", description=__doc__)
    for option in ("--tree", "--journal", "--configured", "--obj", "--image-path", "--toolchain", "--log", "--out"):
        parser.add_argument(option, type=Path, required=True)
    parser.add_argument("--arch", required=True)
    parser.add_argument("--image", required=True)
    parser.add_argument("--cross-compile", default="")
    add_options(parser)
    parser.add_argument("--epoch", type=int, required=True)
    parser.add_argument("--ccache", type=Path, help="the compiler cache's folder; without it, there is none")
    parser.add_argument("--ccache-config", type=Path, help="its configuration file; need not exist")
    args = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stopped)

    build, out = build_from(args), args.out.resolve()
    log = new_log(args.log, build.release)
    try:
        run(build, sources.read(args.journal), log, int((args.configured / "objects").read_text()), out)
    except OSError as error:
        raise StageError(f"the compile stage cannot go on: {error}", hint="see the disk's free space") from error
    except StageError:
        # Of a step that failed only the cache mounts survive: the host fetches the log from there by its name.
        emit({"event": "log", "name": log.name})
        raise
    (out / "log").mkdir(parents=True, exist_ok=True)
    shutil.copyfile(log, out / "log/compile.log")
    log.unlink()


if __name__ == "__main__":
    stage_main(main)
