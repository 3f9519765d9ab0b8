"""The project as one frozen model: what the settings, the folders and the command line together ask for."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from builder.arch import Arch, find_arch, host_arch
from builder.errors import InputError
from builder.inputs.check import check_inputs
from builder.inputs.kernelorg import VERSION
from builder.settings import Registry, Settings, load_settings

SETTINGS_FILE = Path("config/rosk.yaml")
SIGNING_KEY = "ROSK_SIGNING_KEY"
"""The variable of the environment that names the file with the key that signs modules."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where the kernel's source comes from; which attributes are set follows `kind` (the Dockerfile's SOURCE_KIND).

    Attributes:
        kind: `debian` (`package` is set), `archive` (a tarball: `path`, or else `version` from kernel.org) or `tree`.
    """

    kind: str
    package: str | None = None
    version: str | None = None
    path: Path | None = None
    sha256: str | None = None

    def __str__(self) -> str:
        if self.kind == "debian":
            return f"Debian's {self.package}"
        return f"linux-{self.version} from kernel.org" if self.path is None else f"{self.kind} {self.path}"


@dataclass(frozen=True, kw_only=True)
class Signing:
    """Whose key signs the modules: paths of this machine. What is in the files, `builder.signing` says.

    Attributes:
        key: PEM, with the private key; None: a build has none, and cannot be.
        certificate: PEM or DER; None: it is in the key's file.
    """

    key: Path | None
    certificate: Path | None


@dataclass(frozen=True, kw_only=True)
class Project:
    """All that a build follows from, apart from what only the engine can tell (`builder.graph.Resolved`).

    Attributes:
        root: The project's folder.
        arch: The target architecture.
        source: The kernel's source.
        inputs: What the build context holds, name there (`patches/a.patch`) to the file in the project.
        registries: Where `--push` pushes to.
        dist: The folder that receives the release.
        config_strict: Options of a full config that did not survive are errors too.
        settings: The settings file, for what needs no resolving.
        signing: Whose key signs the modules; None: nobody's that is an input.
    """

    root: Path
    arch: Arch
    source: Source
    settings: Settings
    inputs: Mapping[str, Path] = field(default_factory=dict)
    registries: tuple[Registry, ...] = ()
    dist: Path
    config_strict: bool = False
    signing: Signing | None = None

    @property
    def org(self) -> str:
        return self.settings.org

    @property
    def localversion(self) -> str:
        """`CONFIG_LOCALVERSION`, with its dash."""
        return self.settings.localversion

    def release(self, kernel_version: str) -> str:
        """V: what `uname -r` prints on a kernel of this project."""
        return kernel_version + self.localversion

    def packages(self, release: str) -> dict[str, str]:
        """The packages of a release, in the order of the summary: what each is, and its file in `dist/kernel`."""
        version = f"{release}-{self.arch.name}"
        compression = self.settings.packages.compression
        tar = {"gzip": "tar.gz", "zstd": "tar.zst", "xz": "tar.xz"}[compression]
        return {
            "source": f"linux-{version}-src.{'tgz' if compression == 'gzip' else tar}",
            "extras": f"extra-linux-{version}.{tar}",
            "headers": f"build-linux-{version}.{tar}",
            "kernel": f"linux-{version}.{tar}",
        }

    def image(self, name: str, release: str) -> str:
        """The tag of one of the images (`os-kernel`), without a registry."""
        return f"{self.org}/{name}:{release}{self.arch.tag_suffix}"

    def origin(self, context_path: str) -> Path | None:
        """The file that a name of the build context stands for, relative to the project where it is inside it."""
        found = self.inputs.get(context_path)
        if found is None:
            return None
        return found.relative_to(self.root) if found.is_relative_to(self.root) else found


def load_project(
    root: Path,
    *,
    kernel: str | None = None,
    arch: str | None = None,
    registries: Sequence[str] = (),
    strict: bool = False,
) -> Project:
    """Read a project's folder and check every input that can be checked without an engine.

    Args:
        root: The project's folder, which holds `config/rosk.yaml`.
        kernel: A kernel.org version that wins over the settings (`--kernel`, or the environment's KERNEL_TAG).
        arch: A package architecture; this machine's when None.
        registries: Registries that take the place of the settings' (`host[:port][/prefix]`).
        strict: A dropped option is an error in a full config too.

    Raises:
        InputError: One of the inputs is wrong; the error names file and line.
    """
    root = root.resolve()
    settings = load_settings(root / SETTINGS_FILE)
    target = find_arch(arch) if arch else host_arch()
    inputs = _collect(root, target, settings)
    check_inputs(inputs, root)
    return Project(
        root=root,
        arch=target,
        source=_source(root, settings, kernel),
        settings=settings,
        inputs=inputs,
        registries=tuple(map(_registry, registries)) or settings.registries,
        dist=root / "dist",
        config_strict=strict or settings.config.strict,
        signing=_signing(root, settings),
    )


def _collect(root: Path, arch: Arch, settings: Settings) -> dict[str, Path]:
    """The files of the build context. Lists that a project does not have are absent here, and empty there."""
    inputs = {"config/kernel-config": root / "config" / arch.name / "kernel-config"}
    for number, fragment in enumerate(settings.config.fragments):
        inputs[f"config/fragments/{number:02}-{fragment.name}"] = root / fragment
    lists = root / "lists" / arch.name
    inputs["lists/modules.list"] = lists / "modules.list"
    inputs["lists/modules-extra.list"] = lists / "modules-extra.list"
    for name in ("firmware.list", "firmware-extra.list"):
        if (lists / name).exists():
            inputs[f"lists/{name}"] = lists / name
    for path in sorted((root / "patches" / arch.name).glob("*.patch"), key=lambda path: os.fsencode(path.name)):
        inputs[f"patches/{path.name}"] = path
    for path in sorted((root / "hooks").glob("*"), key=lambda path: os.fsencode(path.name)):
        if path.is_file() and os.access(path, os.X_OK):
            inputs[f"hooks/{path.name}"] = path
    for path in inputs.values():
        if not path.is_file():
            raise InputError("there is no such file", where=path, hint=f"a project for {arch.name} needs it")
    return inputs


def _source(root: Path, settings: Settings, kernel: str | None) -> Source:
    wanted = settings.kernel
    if kernel is not None:
        version = kernel.removeprefix("v")
        if not VERSION.fullmatch(version):
            raise InputError(
                f"{kernel!r} is not a release of kernel.org",
                hint="give --kernel (or KERNEL_TAG) a release such as 6.12.64",
            )
        pinned = wanted.sha256 if version == wanted.version else None
        return Source(kind="archive", version=version, sha256=pinned)
    if wanted.source == "debian":
        return Source(kind="debian", package=f"linux-source-{wanted.version}")
    if wanted.source == "kernel.org":
        return Source(kind="archive", version=wanted.version, sha256=wanted.sha256)
    assert wanted.path is not None
    kind = "tree" if wanted.source == "tree" else "archive"
    return Source(kind=kind, path=root / wanted.path, sha256=wanted.sha256)


def _signing(root: Path, settings: Settings) -> Signing | None:
    wanted = settings.signing
    key = Path(chosen).absolute() if (chosen := os.environ.get(SIGNING_KEY)) else wanted.key and root / wanted.key
    if key is None and wanted.certificate is None:
        return None
    return Signing(key=key, certificate=wanted.certificate and root / wanted.certificate)


def _registry(text: str) -> Registry:
    """A registry of the command line, in the form of the settings."""
    try:
        return Registry.model_validate(text)
    except ValidationError as error:
        raise InputError(
            f"{text!r} is not a registry", hint="write host[:port][/prefix], with no https:// and no password"
        ) from error
