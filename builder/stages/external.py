"""Build an external module against the kernel's headers, as who has only those does it.

Outputs, under --out: `modules/lib/modules/V/extra/NAME.ko`, stripped as the kernel's own are, and `told/`, for the
modules after it: `NAME.symvers` (what it exports) and `NAME.list` (what it built).
See Documentation/kbuild/modules.rst.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from builder.stages.common import StageError, emit, run, stage_main
from builder.stages.compilercache import CompilerCache, may_cache
from builder.stages.dkms import Dkms, read_dkms
from builder.stages.elf import modinfo
from builder.stages.maketools import CLANG, add_options, tool_arguments, toolchain_digest
from builder.stages.runmake import Make, MakeError, cpus, make_environment, new_log
from builder.stages.source import unpack_archive

SOURCES = Path("/src")
"""Where sources are built: the same place each time, for objects may hold the names of their files."""
_SOURCES = (".c", ".S")


@dataclass(frozen=True, kw_only=True)
class Module:
    """What to build, and with what.

    Attributes:
        name: The module's name in the settings.
        tree: The folder with its source; `top`: the one in it with its Kbuild or Makefile.
        headers: The headers tree of the kernel.
        release: The kernel release.
        install: The folder below lib/modules/V that receives it.
        variables: Further variables for make.
        arch: kbuild's ARCH; `cross_compile`: the compiler's prefix; `tools`: words of `builder.stages.maketools`.
        cc: The compiler of the kernel, as make is to call it; `strip`: what strips modules.
        told: What the modules before this one told; need not exist.
    """

    name: str
    tree: Path
    top: Path
    headers: Path
    release: str
    install: str
    variables: Mapping[str, str]
    arch: str
    cross_compile: str
    tools: Sequence[str]
    cc: str
    strip: str
    told: Path

    def make_arguments(self, *, cached: bool) -> list[str]:
        """make's command line."""
        words = ["make", "-C", str(self.headers), f"M={self.top}", f"-j{cpus()}", f"ARCH={self.arch}"]
        words += [f"CROSS_COMPILE={self.cross_compile}", *self.tools]
        words += [f"CC=ccache {self.cc}"] if cached else []
        words += [f"{name}={value}" for name, value in self.variables.items()]
        symbols = sorted(path for path in self.told.glob("*.symvers") if path.stat().st_size)
        words += [f"KBUILD_EXTRA_SYMBOLS={' '.join(map(str, symbols))}"] if symbols else []
        return [*words, "modules"]


def bring_source(recipe: Mapping[str, object], given: Path, sources: Path) -> Path:
    """Bring the source of a recipe (`builder.external.model`) to its place; returns the folder to build in.

    Raises:
        StageError: It is no source of a module.
    """
    name, tree = str(recipe["name"]), sources / str(recipe["name"])
    if recipe["archive"]:
        unpack_archive(given, tree)
    else:
        shutil.copytree(given, tree, symlinks=True)
    top = (tree / str(recipe["subdir"])).resolve()
    if not top.is_relative_to(tree.resolve()) or not top.is_dir():
        raise StageError(
            f"the source of the module {name} has no folder {recipe['subdir']}", hint="see its subdir in the settings"
        )
    if not any((top / file).is_file() for file in ("Kbuild", "Makefile")):
        raise StageError(
            f"the source of the module {name} has no Kbuild or Makefile in {recipe['subdir'] or 'its top folder'}",
            hint="name the folder that has one with subdir in the settings",
        )
    return top


def build(module: Module, dkms: Dkms, make: Make, out: Path, *, cached: bool) -> None:
    """Build the module and put what came of it under `out`.

    Raises:
        StageError: It does not build, or what was built is not what it should be.
    """
    # What somebody has built is not built here, and must not be taken for it.
    for path in module.top.rglob("*.ko"):
        if path.is_file() or path.is_symlink():
            path.unlink()
    try:
        make.run(module.make_arguments(cached=cached))
    except MakeError as error:
        what = f"the module {module.name} does not build: {error.what}"
        raise StageError(what, hint=error.hint, details=error.details) from error
    built = chosen(module, dkms)
    check_names(module, built)
    target = out / "modules/lib/modules" / module.release / module.install
    target.mkdir(parents=True)
    told = out / "told"
    told.mkdir()
    for path in built:
        shutil.copyfile(path, target / path.name)
        run([module.strip, "--strip-debug", target / path.name])
    symvers = module.top / "Module.symvers"
    (told / f"{module.name}.symvers").write_bytes(symvers.read_bytes() if symvers.is_file() else b"")
    (told / f"{module.name}.list").write_text("".join(f"{path.name}\n" for path in built))


def chosen(module: Module, dkms: Dkms) -> list[Path]:
    """What of all that was built is installed: what a dkms.conf names, else all.

    Raises:
        StageError: It is nothing, not there, or for another kernel.
    """
    found = {path.stem.replace("-", "_"): path for path in sorted(module.top.rglob("*.ko"))}
    if not found:
        raise StageError(
            f"the module {module.name} builds nothing", hint="see that its Kbuild or Makefile has an obj-m"
        )
    wanted = [name.replace("-", "_") for name in dkms.modules] or list(found)
    missing = [name for name in wanted if name not in found]
    if missing:
        raise StageError(
            f"the module {module.name} does not build {missing[0]}.ko, which its dkms.conf names",
            hint=f"it builds {', '.join(path.name for path in found.values())}",
        )
    built = [found[name] for name in dict.fromkeys(wanted)]
    for path in built:
        magic = modinfo(path).get("vermagic", [""])[0].split()
        if magic[:1] != [module.release]:
            what = f"{path.name} of the module {module.name} is for {' '.join(magic[:1]) or 'no kernel'}"
            raise StageError(
                f"{what}, not {module.release}", hint="its Makefile is to use the kernel that M= is made for"
            )
    return built


def check_names(module: Module, built: Sequence[Path]) -> None:
    """See that no external module before this one built a module of the same name.

    Raises:
        StageError: One did.
    """
    own = {path.stem.replace("-", "_") for path in built}
    for path in sorted(module.told.glob("*.list")):
        both = own & {name.removesuffix(".ko").replace("-", "_") for name in path.read_text().split()}
        if both:
            raise StageError(
                f"{min(both)}.ko is built by the modules {path.stem} and {module.name}",
                hint="take one of them out of the settings",
            )


def includable(headers: Path, sources: Path) -> Iterator[str]:
    """The paths of the headers, and of all that a module has, for the compiler cache: a new file may be included in
    another's place."""
    for top, suffix in ((headers, ".h"), (sources, "")):
        for folder, folders_below, files in os.walk(top):
            folders_below.sort()
            yield from sorted(os.path.join(folder, name) for name in files if name.endswith(suffix))  # noqa: PTH118


def compiler_cache(module: Module, folder: Path | None, settings: Path | None, toolchain: Path) -> CompilerCache | None:
    """The compiler cache, where there is to be one; `settings` is its configuration file."""
    config = module.headers / "include/config/auto.conf"
    if folder is None or not may_cache(config.read_text() if config.is_file() else ""):
        return None
    shadows = hashlib.sha256(os.fsencode("\n".join(includable(module.headers, module.tree)))).hexdigest()
    digest = toolchain_digest(toolchain, module.cc)
    return CompilerCache(folder, module.cc, digest, shadows, config=settings, all_headers=True)


def module_of(args: argparse.Namespace) -> tuple[Module, Dkms]:
    """What the command line asks for; brings the source."""
    recipe = json.loads(args.module.read_text())
    top = bring_source(recipe, args.input, args.sources)
    dkms = read_dkms(top / "dkms.conf")
    clang = args.compiler == CLANG
    module = Module(
        name=recipe["name"],
        tree=args.sources / recipe["name"],
        top=top,
        headers=args.headers or Path("/lib/modules", args.release, "build"),
        release=args.release,
        install=recipe["install"],
        variables={**dkms.variables, **recipe["make"]},
        arch=args.arch,
        cross_compile=args.cross_compile,
        tools=tool_arguments(args.compiler, args.make_variables),
        cc=CLANG if clang else f"{args.cross_compile}gcc",
        strip="llvm-strip" if clang else f"{args.cross_compile}strip",
        told=args.told,
    )
    return module, dkms


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="external", description=__doc__)
    for option in ("--module", "--input", "--told", "--toolchain", "--log", "--out"):
        parser.add_argument(option, type=Path, required=True)
    for option in ("--release", "--arch"):
        parser.add_argument(option, required=True)
    parser.add_argument("--cross-compile", default="")
    add_options(parser)
    parser.add_argument("--epoch", type=int, required=True)
    parser.add_argument("--headers", type=Path, help="the headers tree; /lib/modules/RELEASE/build when not given")
    parser.add_argument("--sources", type=Path, default=SOURCES, help="where the source is brought")
    parser.add_argument("--ccache", type=Path, help="the compiler cache's folder; without it, there is none")
    parser.add_argument("--ccache-config", type=Path, help="its configuration file; need not exist")
    return parser


def main() -> None:
    """Command line; see the module's text."""
    args = arguments().parse_args()
    module, dkms = module_of(args)
    cache = compiler_cache(module, args.ccache, args.ccache_config, args.toolchain)
    environment = {**make_environment(args.epoch), **(cache.environment() if cache else {})}
    log = new_log(args.log, f"{args.release}-{module.name}")
    objects = sum(path.suffix in _SOURCES for path in module.top.rglob("*"))
    try:
        build(module, dkms, Make(log, environment, objects), args.out, cached=cache is not None)
    except StageError:
        # Of a step that failed only the cache mounts survive: the host fetches the log from there by its name.
        emit({"event": "log", "name": log.name})
        raise
    log.unlink()
    if cache:
        cache.close()


if __name__ == "__main__":
    stage_main(main)
