"""From the project to BuildKit's bake file: pure functions, tested with no engine.

The stages themselves are in `dockerfiles/kernel.Dockerfile`; what is here decides which of them are asked for, with
which arguments, and what becomes of their output.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builder.cachespec import NONE, Caches, with_caches
from builder.cross import cross_args, cross_packages
from builder.external.model import ModuleSource
from builder.project import Project
from builder.series import make_words
from builder.stagenames import FILE_SUFFIX

IMAGES = ("os-extras", "os-headers", "os-kernel")
"""The images, in the order of `dist/images`."""

TOOLS_PACKAGES = ("busybox-static", "kmod", "libdeflate-tools", "patch", "python3", "xz-utils", "zstd")
TOOLCHAIN_PACKAGES = (
    "bc",
    "bison",
    "ccache",
    "cpio",
    "flex",
    "gcc",
    "libc6-dev",
    "libelf-dev",
    "libssl-dev",
    "libzstd-dev",
    "make",
    "perl-base",
    "pkg-config",
    "rsync",
    "zlib1g-dev",
)
CLANG_PACKAGES = ("clang", "lld", "llvm")
"""What LLVM=1 runs; gcc stays, for its libraries."""

LEVEL = 1
"""How far gzip compresses the images' layers. The default level, 6, takes three times as long, at the end of every
build, for a layer that is a tenth smaller.

BuildKit keeps a layer as it was compressed first, whatever is asked for later. So the level is part of the argument
LAYER, a folder's name that a layer is a COPY of: after a change of it an image has the digest of one from nothing.
"""

RELEASES: Mapping[str, frozenset[str]] = {
    "release": frozenset(),
    "release-modules": frozenset({"kernel", "extras"}),
    "release-packages": frozenset({"kernel", "extras", "headers"}),
}
"""The Dockerfile's stages that have the release's files, and the packages that each has among them.

Each target of a solve takes a fifth of a second (sessions, BuildKit's history): few packages have one of their own.
"""
SOURCE = "source"
"""The package that always has a target of its own: it is big, and does not follow from the others."""


@dataclass(frozen=True, kw_only=True)
class Context:
    """Folders of this machine that a solve reads.

    Attributes:
        folder: The build context (`builder.context`).
        dockerfile: The path of `kernel.Dockerfile`.
        source: The folder with the source archive, or the source tree; None for a source that apt fetches.
        firmware: The folder with the firmware archive, or the firmware itself; None for other firmware sources.
        firmware_revision: The git commit of a firmware folder, where it has one.
        base: Where a builder that does not have the base image finds it: `oci-layout://FOLDER@DIGEST`.
        ccache: The compiler cache's configuration, where it has a server; a secret, for that may have a password.
        signing: The file with the key that signs modules; a secret. `signing_pin`: it has a passphrase, in the
            environment's KBUILD_SIGN_PIN.
        modules: The sources of the external modules.
    """

    folder: Path
    dockerfile: Path
    source: Path | None = None
    source_epoch: int = 0
    firmware: Path | None = None
    firmware_revision: str = ""
    base: str | None = None
    ccache: Path | None = None
    signing: Path | None = None
    signing_pin: bool = False
    modules: tuple[ModuleSource, ...] = ()

    def archives(self, project: Project) -> dict[str, str]:
        """The SHA-256 of the archives among them: each is alone in a folder of that name (`builder.inputs.store`)."""
        found = {}
        if self.source is not None and project.source.kind == "archive":
            found["source"] = self.source.name
        if self.firmware is not None and project.settings.firmware.source == "tarball":
            found["firmware"] = self.firmware.name
        return found


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """What only the engine can tell, and has to be known before tags and files can be named.

    Attributes:
        kernel_version: As the source's own Makefile says (`6.12.107`).
        epoch: Seconds since 1970, the date of the source: every timestamp of the release.
        packages: Debian package to version, in the toolchain.
        source_package: The version of Debian's source package, where the source is one.
        base: The base image; `base_digest` is its digest or ID.
    """

    kernel_version: str
    epoch: int
    packages: Mapping[str, str]
    source_package: str | None = None
    base: str
    base_digest: str


def resolve_plan(
    project: Project, context: Context, *, base: str, output: Path, caches: Caches = NONE
) -> dict[str, Any]:
    """The bake file whose one target, `resolve`, tells the kernel version and the toolchain's packages.

    Args:
        base: The reference of the base image.
        output: The tar archive that receives `source.json` and `packages`.
        caches: Only its sources count.
    """
    target = _target(project, context, "resolve", _source_args(project, context, base))
    return with_caches({"target": {"resolve": {**target, "output": [_tar(output)]}}}, caches)


def build_plan(
    project: Project,
    context: Context,
    resolved: Resolved,
    *,
    output: Path,
    packages: Collection[str] = (),
    source: Path | None = None,
    known: Path | None = None,
    images: Path | None = None,
    shared: bool = False,
    scope: str = "",
    caches: Caches = NONE,
) -> dict[str, Any]:
    """The bake file of a whole build: the release's files and the three images, from one solve.

    Args:
        output: The tar archive that receives `kernel/` and `reports/`.
        packages: Packages that are to be in it; of `RELEASES`, the first stage that has them is taken.
        source: The tar archive that receives the source package, where that is wanted.
        known: A folder with `source.json`, the checksums of chunks of it (`builder.sourceparts`): only the others come.
        images: The folder that receives the images as archives (`os-kernel.tar`); None: the engine that solves.
        shared: Have all that a shared cache is to hold below `release`; so it is too when `caches` are written.
        scope: A build of another scope has no part in this one's cache mounts.
        caches: What it reads and writes beside the engine's own cache.
    """
    release = project.release(resolved.kernel_version)
    args = _build_args(project, context, resolved, scope)
    args |= {"SOURCE_SHARED": "whole-source"} if shared or caches.targets else {}
    stage = next(stage for stage, has in RELEASES.items() if has.issuperset(packages))
    targets = {"release": {**_target(project, context, stage, args), "output": [_tar(output)]}}
    targets |= _file_targets(project, context, args, {SOURCE: source} if source else {})
    if source and known:
        file = targets[f"{SOURCE}{FILE_SUFFIX}"]
        file |= {"target": "source-changes", "contexts": {**file["contexts"], "rosk-known": str(known)}}
    for name in IMAGES:
        targets[name] = {
            **_target(project, context, name, args),
            "tags": [project.image(name, release)],
            "output": [f"{_image_output(images, name)},compression=gzip,compression-level={LEVEL}"],
        }
    return with_caches({"group": {"default": {"targets": list(targets)}}, "target": targets}, caches)


def files_plan(
    project: Project,
    context: Context,
    resolved: Resolved,
    *,
    outputs: Mapping[str, Path],
    scope: str = "",
    caches: Caches = NONE,
) -> dict[str, Any]:
    """The bake file that fetches packages of a build.

    Args:
        outputs: Package (`kernel`, `extras`, `headers`, `source`) to the tar archive that receives its file.
        caches: Those of the build: what it took from them it did not bring into the engine, only named there.
    """
    targets = _file_targets(project, context, _build_args(project, context, resolved, scope), outputs)
    return with_caches({"group": {"default": {"targets": list(targets)}}, "target": targets}, caches)


def _file_targets(
    project: Project, context: Context, args: Mapping[str, str], outputs: Mapping[str, Path]
) -> dict[str, dict[str, Any]]:
    return {
        f"{name}{FILE_SUFFIX}": {**_target(project, context, f"{name}{FILE_SUFFIX}", args), "output": [_tar(output)]}
        for name, output in outputs.items()
    }


def _build_args(project: Project, context: Context, resolved: Resolved, scope: str) -> dict[str, str]:
    release = project.release(resolved.kernel_version)
    args = {
        **_source_args(project, context, resolved.base),
        **cross_args(project),
        "ARCH": project.arch.kbuild,
        "SRCARCH": project.arch.srcarch,
        "IMAGE": project.arch.image,
        "IMAGE_PATH": project.arch.image_path,
        "A": project.arch.name,
        "RELEASE": release,
        "LOCALVERSION": project.localversion,
        "CONFIG_STRICT": "--strict" if project.config_strict else "",
        "EPOCH": str(resolved.epoch),
        "LAYER": f"gzip{LEVEL}-{resolved.epoch}",
        "CCACHE_MAXSIZE": project.settings.cache.compiler.size,
        "UNLISTED": project.settings.lists.unlisted,
        "SOFTDEPS": project.settings.lists.softdeps,
        **({"SIGNING": "key"} if project.signing else {}),
        **_hook_args(project),
        **{f"{name.upper()}_FILE": file for name, file in project.packages(release).items()},
        **_firmware_args(project, context),
        **_compiler_args(project, resolved),
    }
    return {**args, "CACHE_SCOPE": f"-{scope}"} if scope else args


def _hook_args(project: Project) -> dict[str, str]:
    if not any(name.startswith("hooks/") for name in project.inputs):
        return {}
    return {"HOOKS_ARCH": project.arch.kbuild, "HOOKS_SRCARCH": project.arch.srcarch}


def _compiler_args(project: Project, resolved: Resolved) -> dict[str, str]:
    """What is not the Dockerfile's default: another compiler, and what an old kernel needs to be told."""
    compiler = project.settings.toolchain.compiler
    words = make_words(resolved.kernel_version, project.arch.srcarch)
    return {
        **({"COMPILER": compiler} if compiler != "gcc" else {}),
        **({"MAKE_VARIABLES": words} if words else {}),
    }


def compile_log_plan(project: Project, context: Context, *, base: str, log: str, output: Path) -> dict[str, Any]:
    """The bake file that fetches the log of a compile that failed; `log` is the name that the stage gave it."""
    args = {
        "BASE": base,
        "TOOLS_PACKAGES": " ".join(TOOLS_PACKAGES),
        "DEBIAN_AS_OF": project.settings.toolchain.as_of,
        "LOG_NAME": log,
    }
    target = _target(project, context, "compile-log", args)
    return {"target": {"compile-log": {**target, "output": [_tar(output)]}}}


def _tar(file: Path) -> str:
    """The exporter to a tar archive. The one to a folder can hang for ever when the disk is full (buildx 0.13)."""
    return _archive(file, "tar")


def _archive(file: Path, kind: str) -> str:
    """An exporter to a file."""
    return f"type={kind},{_field('dest', file)}"


def _image_output(folder: Path | None, name: str) -> str:
    """The exporter of an image: to the engine that solves, or as an archive to a folder."""
    return "type=docker" if folder is None else _archive(folder / f"{name}.tar", "docker")


def _field(name: str, path: Path) -> str:
    """A field of a specification, which is a line of CSV: a path may need quotes."""
    escaped = str(path).replace('"', '""')
    return f'"{name}={escaped}"'


def _target(project: Project, context: Context, stage: str, args: Mapping[str, str]) -> dict[str, Any]:
    contexts = {"rosk-source": context.source, "rosk-firmware": context.firmware, args["BASE"]: context.base}
    contexts |= {f"rosk-input-{module.name}": module.folder for module in context.modules}
    return {
        "context": str(context.folder),
        "dockerfile": str(context.dockerfile),
        "target": stage,
        "args": dict(args),
        "contexts": {name: str(path) for name, path in contexts.items() if path is not None},
        "platforms": [f"linux/{project.arch.oci}"],
        **({"secret": secrets} if (secrets := _secrets(context)) else {}),
    }


def _secrets(context: Context) -> list[str]:
    """What steps may mount, and no layer, log or cache key has."""
    files = {"ccache": context.ccache, "signing-key": context.signing}
    secrets = [f"id={name},{_field('src', path)}" for name, path in files.items() if path is not None]
    return [*secrets, "id=signing-pin,env=KBUILD_SIGN_PIN"] if context.signing_pin else secrets


def _source_args(project: Project, context: Context, base: str) -> dict[str, str]:
    toolchain = project.settings.toolchain
    packages = (*TOOLCHAIN_PACKAGES, *(CLANG_PACKAGES if toolchain.compiler == "clang" else ()))
    args = {
        "BASE": base,
        "TOOLS_PACKAGES": " ".join(TOOLS_PACKAGES),
        "TOOLCHAIN_PACKAGES": " ".join((*packages, *cross_packages(project), *toolchain.packages)),
        "FOREIGN": " ".join(arch.oci for arch in project.foreign),
        "DEBIAN_AS_OF": toolchain.as_of,
        "SOURCE_KIND": project.source.kind,
    }
    if project.source.package is not None:
        args["SOURCE_PACKAGE"] = project.source.package
    if project.source.kind == "tree":
        args["SOURCE_EPOCH"] = str(context.source_epoch)
    return args


def _firmware_args(project: Project, context: Context) -> dict[str, str]:
    firmware = project.settings.firmware
    kinds = {"debian": "debian", "tarball": "archive", "folder": "folder", "none": "none"}
    args = {"FIRMWARE_KIND": kinds[firmware.source]}
    if firmware.source == "debian":
        args["FIRMWARE_PACKAGES"] = " ".join(firmware.packages)
    if firmware.source == "folder":
        args["FIRMWARE_REVISION"] = context.firmware_revision or "unknown"
    if firmware.strict:
        args["FIRMWARE_STRICT"] = "--strict"
    return args
