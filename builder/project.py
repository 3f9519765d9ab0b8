"""The project as one frozen model: what the settings, the folders and the command line together ask for."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import ValidationError

from builder.arch import ARCHES, Arch, host_arch
from builder.choice import Choice, choose, every_choice, kernel_name
from builder.config.policy import Policy, load_policies
from builder.errors import InputError
from builder.hooks import find_hooks
from builder.inputs.check import check_inputs, no_file, within
from builder.inputs.kernelorg import VERSION
from builder.kernelversion import of_archive, of_tree
from builder.series import Toolchain, check_llvm
from builder.series import choose as choose_suite
from builder.settings import Registry, Settings, load_settings
from builder.settings.registry import as_known
from builder.settings.sources import Toolchain as ToolchainSettings

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
        machine: That of the machine whose engine builds.
        flavour: The name of the flavour; None in a project that has none.
        default: It is the kernel of the project that is built when nothing is said.
        source: The kernel's source.
        inputs: What the build context holds, name there (`patches/a.patch`) to the file in the project.
        registries: Where `--push` pushes to.
        dist: The folder that receives the release: `dist` for what is built when nothing is said, else one below it.
        config_strict: Options of a full config that did not survive are errors too.
        settings: The settings file, for what needs no resolving; of the flavours only this one, and the suite of
            `toolchain`.
        toolchain: What compiles it, and why; None: as the settings say.
        policies: What the resolved config has to keep.
        signing: Whose key signs the modules; None: nobody's that is an input.
    """

    root: Path
    arch: Arch
    machine: Arch = field(default_factory=host_arch)
    flavour: str | None = None
    default: bool = True
    source: Source
    settings: Settings
    inputs: Mapping[str, Path] = field(default_factory=dict)
    registries: tuple[Registry, ...] = ()
    dist: Path
    config_strict: bool = False
    toolchain: Toolchain | None = None
    policies: tuple[Policy, ...] = ()
    signing: Signing | None = None

    @property
    def org(self) -> str:
        return self.settings.org

    @property
    def name(self) -> str:
        """What tells it from the project's other kernels: `cloud-x86`, or `arm64` in a project without flavours."""
        return kernel_name(self.flavour, self.arch)

    @property
    def foreign(self) -> tuple[Arch, ...]:
        """What this project cross-compiles for: all of its architectures have one toolchain, and so share a source."""
        wanted = {*self.settings.architectures, self.arch.name}
        return tuple(arch for arch in ARCHES.values() if arch.name in wanted and arch != self.machine)

    @property
    def localversion(self) -> str:
        """`CONFIG_LOCALVERSION`, with its dash."""
        settings = self.settings
        return settings.localversion if self.flavour is None else settings.localversion_of(self.flavour)

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
        return found and within(found, self.root)


def load_project(
    root: Path,
    *,
    kernel: str | None = None,
    arch: str | None = None,
    flavour: str | None = None,
    registries: Sequence[str] = (),
    strict: bool = False,
) -> Project:
    """Read a project's folder and check every input that can be checked without an engine.

    Args:
        root: The project's folder, which holds `config/rosk.yaml`.
        kernel: A kernel.org version that wins over the settings (`--kernel`, or the environment's KERNEL_TAG).
        arch: A package architecture; see `Choice` when None.
        flavour: One of the settings' flavours; see `Choice` when None.
        registries: Registries that take the place of the settings' (`host[:port][/prefix]`).
        strict: A dropped option is an error in a full config too.

    Raises:
        InputError: One of the inputs is wrong; the error names file and line.
    """
    root = root.resolve()
    settings = load_settings(root / SETTINGS_FILE)
    choice = choose(settings, arch=arch, flavour=flavour)
    return _load(root, settings, choice, kernel=kernel, registries=registries, strict=strict)


def load_all(
    root: Path,
    *,
    kernel: str | None = None,
    arch: str | None = None,
    flavour: str | None = None,
    registries: Sequence[str] = (),
    strict: bool = False,
) -> tuple[Project, ...]:
    """All kernels of a project, of every flavour for every architecture; of one of them where that is given.

    Args, Raises: As of `load_project`.
    """
    root = root.resolve()
    settings = load_settings(root / SETTINGS_FILE)
    choices = every_choice(settings, arch=arch, flavour=flavour)
    return tuple(_load(root, settings, each, kernel=kernel, registries=registries, strict=strict) for each in choices)


def with_source(project: Project, source: Source) -> Project:
    """The project with another kernel, and with the toolchain that the settings mean for that.

    Raises:
        InputError: The kernel is too old for the compiler.
    """
    # Those of the project have a suite where the file may have `auto`.
    settings = load_settings(project.root / SETTINGS_FILE)
    toolchain, wanted = _toolchain(source, settings, project.root)
    own = project.settings.model_copy(update={"toolchain": wanted})
    return replace(project, source=source, toolchain=toolchain, settings=own)


def _toolchain(source: Source, settings: Settings, root: Path) -> tuple[Toolchain, ToolchainSettings]:
    """What compiles a kernel, and the settings' section with the suite that this is of."""
    toolchain = choose_toolchain(source, settings, root / SETTINGS_FILE)
    return toolchain, settings.toolchain.model_copy(update={"suite": toolchain.suite})


def _load(
    root: Path, settings: Settings, choice: Choice, *, kernel: str | None, registries: Sequence[str], strict: bool
) -> Project:
    inputs = _collect(root, choice, settings)
    check_inputs(inputs, root)
    own = {} if choice.flavour is None else {choice.flavour: settings.flavours[choice.flavour]}
    source = _source(root, settings, kernel)
    toolchain, wanted = _toolchain(source, settings, root)
    return Project(
        root=root,
        arch=choice.arch,
        flavour=choice.flavour,
        default=choice == choose(settings),
        source=source,
        settings=settings.model_copy(update={"flavours": own, "toolchain": wanted}),
        toolchain=toolchain,
        inputs=inputs,
        registries=tuple(_registry(text, settings) for text in registries) or settings.registries,
        dist=choice.dist(root, settings),
        config_strict=strict or settings.config.strict,
        policies=load_policies(settings.config.policies, root),
        signing=_signing(root, settings),
    )


def _collect(root: Path, choice: Choice, settings: Settings) -> dict[str, Path]:
    """The files of the build context. Lists that a project does not have are absent here, and empty there."""
    arch, own = choice.arch.name, choice.own(settings)
    inputs = {"config/kernel-config": root / "config" / arch / "kernel-config"}
    for number, fragment in enumerate((*settings.config.fragments, *own.fragments)):
        inputs[f"config/fragments/{number:02}-{fragment.name}"] = root / fragment
    inputs |= choice.lists(root, settings)
    _check_patches(root, choice, settings)
    by_name = {path.name: path for folder in choice.patches(root, settings) for path in folder.glob("*.patch")}
    for name, path in sorted(by_name.items(), key=lambda item: os.fsencode(item[0])):
        inputs[f"patches/{name}"] = path
    inputs |= {f"hooks/{path.name}": path for path in find_hooks(root)}
    for path in inputs.values():
        if not path.is_file():
            raise no_file(path, f"a project for {arch} needs it")
    return inputs


def _check_patches(root: Path, choice: Choice, settings: Settings) -> None:
    """See that a flavour's own patches are where the settings say; it need not have some for each architecture."""
    own = choice.own(settings).patches
    if own is not None and not any((root / own / name).is_dir() for name in ARCHES):
        hint = f"the patches of the flavour {choice.flavour} for {choice.arch.name} belong there"
        raise InputError("there is no such folder", where=root / own / choice.arch.name, hint=hint)


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


def choose_toolchain(source: Source, settings: Settings, where: Path) -> Toolchain:
    """What compiles the kernel: the settings' suite, or the one that fits the kernel's series.

    Args:
        where: The settings file, for an error.

    Raises:
        InputError: The kernel is too old for the compiler.
    """
    version, known_from = known_version(source)
    wanted = settings.toolchain
    check_llvm(wanted.compiler, version, known_from, where)
    return choose_suite(wanted.suite, wanted.compiler, version, known_from)


def known_version(source: Source) -> tuple[str, str]:
    """A source's version as far as it is known, and what tells it; or an empty one, and why nothing does."""
    if source.version is not None:
        return source.version, "its version"
    if source.package is not None:
        return source.package.removeprefix("linux-source-"), f"Debian's {source.package}"
    assert source.path is not None
    if source.kind == "tree":
        version, known_from = of_tree(source.path), "its Makefile"
    else:
        version, known_from = of_archive(source.path)
    return (version, known_from) if version else ("", f"nothing tells the version of {source.path} before the build")


def _signing(root: Path, settings: Settings) -> Signing | None:
    wanted = settings.signing
    key = Path(chosen).absolute() if (chosen := os.environ.get(SIGNING_KEY)) else wanted.key and root / wanted.key
    if key is None and wanted.certificate is None:
        return None
    return Signing(key=key, certificate=wanted.certificate and root / wanted.certificate)


def _registry(text: str, settings: Settings) -> Registry:
    """A registry of the command line; how to talk to its host the settings may say."""
    try:
        named = Registry.model_validate(text)
    except ValidationError as error:
        raise InputError(
            f"{text!r} is not a registry", hint="write host[:port][/prefix], with no https:// and no password"
        ) from error
    return as_known(named, settings.registries)
