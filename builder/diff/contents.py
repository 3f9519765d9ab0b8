"""What a release holds, as far as it can be compared: read once, from its packages as streams, nothing unpacked."""

from __future__ import annotations

import hashlib
import lzma
import re
import tarfile
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, TypeVar

from builder.diff.moduledigest import examine
from builder.diff.symvers import Symbol, parse_symvers
from builder.differ import opened, pieces
from builder.errors import InputError
from builder.release import human_size
from builder.stages.common import StageError
from builder.stages.dotconfig import config_values
from builder.verify.modulesignature import read_signature
from builder.verify.unpack import LIMIT

READ = ("kernel", "extras", "headers")
"""The packages that are looked into; of the source package only the size counts."""

_MODULE = re.compile(r"lib/modules/(?P<v>[^/]+)/(?P<path>.+\.ko(?:\.(?:gz|xz|zst))?)")
_IMAGE = re.compile(r"boot/vmlinuz(?:-(?P<v>[^/]+))?")
_CONFIG = re.compile(r"boot/config(?:-[^/]+)?")
_FIRMWARE = re.compile(r"lib/firmware/(?P<path>.+)")
_REVISION = ".git-commit"
_OF_HEADERS = frozenset({".config", "Module.symvers"})
DAMAGED = "damaged"
"""The signer of a module whose signature cannot be read."""
COMPRESSED = (".gz", ".xz", ".zst")
_LARGEST = 1 << 30
_UNREADABLE = (tarfile.TarError, OSError, EOFError, zlib.error, lzma.LZMAError, ValueError)

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Shipped:
    """A file of a release.

    Attributes:
        package: The package that it is in: one of `READ`.
        size: In bytes; 0 of a link.
        digest: What it is: of a module see `builder.diff.moduledigest`, of a link `-> TARGET`, else its SHA-256 (hex).
        signer: Whose key signed a module (`builder.verify.modulesignature`); empty where none did, or in a compressed
            one that cannot be told.
    """

    package: str
    size: int
    digest: str
    signer: str = ""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a release comes from, as its manifest says.

    Attributes:
        source: What is known of the kernel's source, as `source` of the manifest.
        patches: The patches' names to their SHA-256, in the order in which they were applied.
        toolchain: The packages of the toolchain and their versions.
    """

    source: Mapping[str, Any]
    patches: Mapping[str, str]
    toolchain: Mapping[str, str]


@dataclass(kw_only=True)
class Package:
    """What was read of one package. The attributes are as in `Contents`."""

    v: str | None = None
    config: bytes | None = None
    image: Shipped | None = None
    modules: dict[str, Shipped] = field(default_factory=dict)
    vermagic: str | None = None
    firmware: dict[str, Shipped] = field(default_factory=dict)
    revision: str | None = None
    symbols: Mapping[str, Symbol] | None = None


@dataclass(frozen=True, kw_only=True)
class Located:
    """A release and where its packages lie.

    Attributes:
        name: As the user named it.
        packages: Kind (`builder.releasefolder.KINDS`) to file, for those that are there.
        sizes: What its packages are (`kernel package`) to their size in bytes, where they are as they are delivered.
        v, a: The kernel release and the package architecture, where the name of a package or an image tells.
        origin: What the manifest says, where there is one.
        config: The resolved config beside the packages, where there is one.
    """

    name: str
    packages: Mapping[str, Path]
    sizes: Mapping[str, int] = field(default_factory=dict)
    v: str | None = None
    a: str | None = None
    origin: Origin | None = None
    config: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What a release holds.

    Attributes:
        name: As the user named it.
        v, a: The kernel release and the package architecture.
        packages: The packages that were there to look into, of `READ`.
        config: Option (without `CONFIG_`) to value, of those that are not `n`.
        image: The kernel image.
        modules: Path under lib/modules/V to module.
        vermagic: What the modules name as theirs (the first one's); None when there is none.
        firmware: Path under lib/firmware to file or link.
        revision: The revision of the firmware.
        symbols: Exported symbol by name; None where there is no Module.symvers.
        sizes: What (`kernel image`, `modules in the kernel package`) to bytes.
        origin: What the manifest says, where there is one.
    """

    name: str
    v: str
    a: str
    packages: frozenset[str]
    config: Mapping[str, str]
    image: Shipped | None
    modules: Mapping[str, Shipped]
    vermagic: str | None
    firmware: Mapping[str, Shipped]
    revision: str | None
    symbols: Mapping[str, Symbol] | None
    sizes: Mapping[str, int]
    origin: Origin | None

    @property
    def versioned(self) -> bool:
        """Whether its kernel checks CRCs (`CONFIG_MODVERSIONS`)."""
        if self.config:
            return self.config.get("MODVERSIONS") == "y"
        return any(symbol.crc for symbol in (self.symbols or {}).values())


def read_all(located: Sequence[Located]) -> list[Contents]:
    """Read releases, several packages at once.

    Raises:
        InputError: A package is no archive, or what is in it is not what it has to be.
    """
    with ThreadPoolExecutor() as pool:
        begun = [
            {kind: pool.submit(read_package, kind, path) for kind, path in each.packages.items() if kind in READ}
            for each in located
        ]
        return [
            _joined(each, {kind: package.result() for kind, package in packages.items()})
            for each, packages in zip(located, begun, strict=True)
        ]


def read_package(kind: str, path: Path) -> Package:
    """Read one package.

    Raises:
        InputError: It cannot be read.
    """
    try:
        with opened(path) as tar:
            return _read_headers(tar) if kind == "headers" else _read_modules(kind, tar)
    except _UNREADABLE as error:
        raise InputError(
            f"the {kind} package cannot be read: {error}", where=path, hint="build the release again"
        ) from error


def _read_modules(kind: str, tar: tarfile.TarFile) -> Package:
    """Read a package that holds modules and firmware; the kernel package also has the kernel and its config."""
    package = Package()
    for member in _members(tar):
        name = member.name.removeprefix("./")
        content = tar.extractfile(member) if member.isreg() else None
        if content is not None and (match := _MODULE.fullmatch(name)):
            module = _whole(member, content)
            examined = examine(module, match["v"])
            package.v = package.v or match["v"]
            package.vermagic = package.vermagic or examined.vermagic
            package.modules[match["path"]] = Shipped(
                package=kind, size=member.size, digest=examined.digest, signer=_signer(module)
            )
        elif match := _FIRMWARE.fullmatch(name):
            if match["path"] == _REVISION and content is not None:
                package.revision = content.read(200).decode(errors="replace").strip()
            elif content is not None or member.issym() or member.islnk():
                package.firmware[match["path"]] = _shipped(kind, member, content)
        elif content is not None and (match := _IMAGE.fullmatch(name)):
            package.v = package.v or match["v"]
            package.image = _shipped(kind, member, content)
        elif content is not None and _CONFIG.fullmatch(name):
            package.config = _whole(member, content)
    return package


def _signer(module: bytes) -> str:
    try:
        signature = read_signature(module)
    except ValueError:
        return DAMAGED
    return signature.signer if signature else ""


def _read_headers(tar: tarfile.TarFile) -> Package:
    """Read of the headers package what is compared, and no further: the tree is large, and they stand at its start."""
    package, found = Package(), set[str]()
    for member in _members(tar):
        name = member.name.removeprefix("./")
        content = tar.extractfile(member) if member.isreg() and name in _OF_HEADERS else None
        if content is not None:
            found.add(name)
            if name == ".config":
                package.config = _whole(member, content)
            else:
                package.symbols = parse_symvers(_whole(member, content).decode(errors="replace"))
        if found == _OF_HEADERS:
            break
    return package


def _members(tar: tarfile.TarFile) -> Iterable[tarfile.TarInfo]:
    size = 0
    for member in tar:
        size += member.size  # of a sparse one, what it pretends to have
        if size > LIMIT:
            raise ValueError(f"it unpacks to more than {human_size(LIMIT)}, which no release does")
        yield member
        tar.members = []  # type: ignore[attr-defined]  # it keeps all that it has seen


def _whole(member: tarfile.TarInfo, content: IO[bytes]) -> bytes:
    """The content of a file that is no larger than such files are."""
    if member.size > _LARGEST:
        raise ValueError(f"{member.name[:100]} is larger than {human_size(_LARGEST)}")
    return content.read()


def _shipped(kind: str, member: tarfile.TarInfo, content: IO[bytes] | None) -> Shipped:
    if content is None:
        return Shipped(package=kind, size=0, digest=f"-> {member.linkname}")
    digest = hashlib.sha256()
    for piece in pieces(content):
        digest.update(piece)
    return Shipped(package=kind, size=member.size, digest=digest.hexdigest())


def _joined(located: Located, packages: Mapping[str, Package]) -> Contents:
    """What the packages of a release come to together."""
    kernel = packages.get("kernel", Package())
    found = [packages[kind] for kind in READ if kind in packages]
    modules = {path: module for package in reversed(found) for path, module in package.modules.items()}
    firmware = {path: file for package in reversed(found) for path, file in package.firmware.items()}
    sizes = {"kernel image": kernel.image.size} if kernel.image else {}
    for name, files in (("modules", modules), ("firmware", firmware)):
        for kind in ("kernel", "extras"):
            if kind in packages:
                of_kind = (file.size for file in files.values() if file.package == kind)
                sizes[f"{name} in the {kind} package"] = sum(of_kind)
    return Contents(
        name=located.name,
        v=located.v or _first(found, lambda package: package.v) or "unknown",
        a=located.a or "unknown",
        packages=frozenset(packages),
        config=_config(located, _first(found, lambda package: package.config)),
        image=kernel.image,
        modules=modules,
        vermagic=_first(found, lambda package: package.vermagic),
        firmware=firmware,
        revision=_first(found, lambda package: package.revision),
        symbols=_first(found, lambda package: package.symbols),
        sizes={**sizes, **located.sizes},
        origin=located.origin,
    )


def _first(packages: Iterable[Package], get: Callable[[Package], T | None]) -> T | None:
    """What the first package that has it says."""
    return next((got for package in packages if (got := get(package)) is not None), None)


def _config(located: Located, content: bytes | None) -> dict[str, str]:
    """The options of the config in the packages, or else of that beside them."""
    if content is None and located.config is not None:
        content = located.config.read_bytes()
    if content is None:
        return {}
    try:
        values = config_values(content, "config")
    except StageError as error:
        where = f"the config of {located.name}"
        raise InputError(error.what, where=where, line=error.line, hint="build the release again") from error
    return {name: value for name, value in values.items() if value != "n"}
