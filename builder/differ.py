"""How two files that should be equal differ: down to the member of an archive, the byte, the section of an ELF file.

Archives are read as streams, several times over where that saves keeping them: what is held of one is a line for each
member, and the contents of the few members that are shown.
"""

from __future__ import annotations

import difflib
import gzip
import hashlib
import json
import lzma
import stat
import struct
import subprocess
import tarfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

from builder.tarmember import TarMember

LIMIT = 20
"""So many members of an archive are looked into; of the others only that they differ is said."""

_PIECE = 1 << 20
_TEXT = 1 << 20
_SHOWN = 8
_NOBITS = 8
_KINDS = {tarfile.DIRTYPE: "folder", tarfile.SYMTYPE: "link", tarfile.LNKTYPE: "hard link"}
_UNREADABLE = (tarfile.TarError, OSError, EOFError, zlib.error, lzma.LZMAError)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One difference.

    Attributes:
        where: The file, and what is in it: (`linux-V-x86.tar.gz`, `./lib/modules/V/a.ko`).
        what: One line for people.
        first, second: Copies of the two contents, for as long as the differ's folder is there.
    """

    where: tuple[str, ...]
    what: str
    first: Path | None = None
    second: Path | None = None

    def __str__(self) -> str:
        return f"{': '.join(self.where)}: {self.what}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """A member of a tar archive, with a checksum instead of its content."""

    kind: str
    mode: int
    owner: tuple[int, int]
    time: int
    size: int
    link: str
    sha256: bytes


@dataclass(kw_only=True)
class Differ:
    """Finds differences.

    Attributes:
        folder: Receives copies of the members that are shown.
        limit: How many members of an archive are looked into.
    """

    folder: Path
    limit: int = LIMIT
    _copies: int = field(default=0, init=False)

    def files(self, first: Path, second: Path, *where: str) -> Iterator[Difference]:
        """The differences of two files; none when they are equal."""
        at = first_difference(first, second)
        if at is None:
            return
        if not (is_archive(first) and is_archive(second)):
            yield Difference(where=where, what=describe(first, second), first=first, second=second)
            return
        found = False
        try:
            for difference in self._archives(first, second, where):
                found = True
                yield difference
        except _UNREADABLE as error:
            what = f"differs at byte {at}, and cannot be read to its end: {error}"
            yield Difference(where=where, what=what, first=first, second=second)
            return
        if not found:
            what = f"the members are equal, their compression or padding is not (first at byte {at})"
            yield Difference(where=where, what=what, first=first, second=second)

    def images(self, first: Path, second: Path, *where: str) -> Iterator[Difference]:
        """The differences of two images, each an archive of `docker save`."""
        with saved_image(first) as one, saved_image(second) as two:
            for key, value, other in unequal(one.config, two.config):
                if not key.startswith("rootfs"):  # the layers' checksums
                    yield Difference(where=(*where, "config"), what=f"{key}: {short(value)} became {short(other)}")
            if len(one.layers) != len(two.layers):
                yield Difference(where=where, what=f"{len(one.layers)} layers became {len(two.layers)}")
            for number, (layer, other) in enumerate(zip(one.layers, two.layers, strict=False), 1):
                if layer != other:
                    place = (*where, f"layer {number}") if len(one.layers) > 1 else where
                    yield from self.files(one.extract(layer, self._copy()), two.extract(other, self._copy()), *place)

    def _archives(self, first: Path, second: Path, where: tuple[str, ...]) -> Iterator[Difference]:
        one, two = index(first), index(second)
        for name in sorted({*one, *two}):
            if (name in one) != (name in two):
                change = f"a {one[name].kind} that is missing" if name in one else f"a {two[name].kind} that is new"
                yield Difference(where=(*where, name), what=f"{change} in the second build")
            elif what := ", ".join(_attributes(one[name], two[name])):
                yield Difference(where=(*where, name), what=what)
        common = [name for name in one if name in two]
        if common != [name for name in two if name in one]:
            yield Difference(where=where, what="the members are in another order")
        # What is a file in one of them only has been said.
        changed = [name for name in common if b"" != one[name].sha256 != two[name].sha256 != b""]
        yield from self._contents(first, second, changed, where)

    def _contents(
        self, first: Path, second: Path, names: Sequence[str], where: tuple[str, ...]
    ) -> Iterator[Difference]:
        shown = names[: self.limit]
        copies = {name: (self._copy(), self._copy()) for name in shown}
        take(first, {name: one for name, (one, _) in copies.items()})
        take(second, {name: two for name, (_, two) in copies.items()})
        for name, (one, two) in copies.items():
            yield from self.files(one, two, *where, name)
        for name in names[self.limit :]:
            yield Difference(where=(*where, name), what="another content")

    def _copy(self) -> Path:
        self._copies += 1
        return self.folder / str(self._copies)


def _attributes(one: Member, two: Member) -> Iterator[str]:
    """What differs of two members, apart from their content."""
    if one.kind != two.kind:
        yield f"a {one.kind} became a {two.kind}"
    if one.mode != two.mode:
        yield f"mode {one.mode:o} became {two.mode:o}"
    if one.owner != two.owner:
        yield f"owner {one.owner[0]}:{one.owner[1]} became {two.owner[0]}:{two.owner[1]}"
    if one.time != two.time:
        yield f"time {one.time} became {two.time}"
    if one.link != two.link:
        yield f"the link to {one.link} became one to {two.link}"


def is_archive(path: Path) -> bool:
    """Whether a file is a tar archive that can be read here."""
    try:
        with opened(path) as tar:
            return tar.next() is not None
    except _UNREADABLE:
        return False


@contextmanager
def opened(path: Path) -> Iterator[tarfile.TarFile]:
    """A tar archive as a stream, compressed or not, in one piece or in several put one after the other.

    Raises:
        TarError, OSError, EOFError, zlib.error, LZMAError: It is none.
    """
    with path.open("rb") as file:
        magic = file.read(6)
    with ExitStack() as stack:
        content: Any
        if magic.startswith(b"\x1f\x8b"):
            content = stack.enter_context(gzip.open(path))
        elif magic.startswith(b"\xfd7zXZ\0"):
            content = stack.enter_context(lzma.open(path))
        elif magic.startswith(b"\x28\xb5\x2f\xfd"):
            content = stack.enter_context(_zstd(path))
        else:
            content = stack.enter_context(path.open("rb"))
        yield stack.enter_context(tarfile.open(fileobj=content, mode="r|", tarinfo=TarMember))


@contextmanager
def _zstd(path: Path) -> Iterator[IO[bytes]]:
    """What a zstd file holds, by the program of that name: Python has no reader of its own."""
    with subprocess.Popen(["zstd", "-dcq", path], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield process.stdout
        finally:
            process.kill()


def index(archive: Path) -> dict[str, Member]:
    """The members of a tar archive, compressed or not, in its order; of several of one name, the last."""
    found: dict[str, Member] = {}
    with opened(archive) as tar:
        for info in tar:
            content = tar.extractfile(info) if info.isreg() else None
            found.pop(info.name, None)
            found[info.name] = Member(
                kind="file" if info.isreg() else _KINDS.get(info.type, "special file"),
                mode=stat.S_IMODE(info.mode),
                owner=(info.uid, info.gid),
                time=int(info.mtime),
                size=info.size,
                link=info.linkname,
                sha256=checksum(content) if content else b"",
            )
            tar.members = []  # type: ignore[attr-defined]  # it keeps all that it has seen
    return found


def take(archive: Path, wanted: Mapping[str, Path]) -> None:
    """Copy members of an archive to files."""
    if not wanted:
        return
    with opened(archive) as tar:
        for info in tar:
            target = wanted.get(info.name)
            if target is not None and info.isreg():
                copy(tar, info, target)
            tar.members = []  # type: ignore[attr-defined]


def copy(archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    """Copy a member that is a file."""
    content = archive.extractfile(member)
    assert content is not None
    with target.open("wb") as file:
        for piece in pieces(content):
            file.write(piece)


@dataclass(frozen=True, kw_only=True)
class SavedImage:
    """An image in an archive of `docker save`: its config, and its layers' names in the archive."""

    archive: tarfile.TarFile
    config: Mapping[str, Any]
    layers: Sequence[str]

    def extract(self, layer: str, target: Path) -> Path:
        """Copy a layer to a file."""
        copy(self.archive, self.archive.getmember(layer), target)
        return target


@contextmanager
def saved_image(path: Path) -> Iterator[SavedImage]:
    """The one image of an archive of `docker save`."""
    with tarfile.open(path, "r:", tarinfo=TarMember) as archive:
        (manifest,) = _json(archive, "manifest.json")
        yield SavedImage(archive=archive, config=_json(archive, manifest["Config"]), layers=manifest["Layers"])


def _json(archive: tarfile.TarFile, name: str) -> Any:
    content = archive.extractfile(name)
    assert content is not None
    return json.load(content)


def unequal(one: Mapping[str, Any], two: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Where two JSON objects differ: the path of the key (`config.Env`), and both values (None: it has none)."""
    for key in sorted({*one, *two}):
        value, other = one.get(key), two.get(key)
        if isinstance(value, dict) and isinstance(other, dict):
            for path, deep, deep_other in unequal(value, other):
                yield f"{key}.{path}", deep, deep_other
        elif value != other:
            yield key, value, other


def short(value: Any) -> str:
    """A JSON value on one line that is not long."""
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def describe(first: Path, second: Path) -> str:
    """How two files differ, on one line: sizes, where first, and what of it a text or an ELF file tells."""
    at = first_difference(first, second)
    if at is None:
        return "equal"
    sizes = first.stat().st_size, second.stat().st_size
    size = f"{sizes[0]} bytes" if sizes[0] == sizes[1] else f"{sizes[0]} bytes became {sizes[1]}"
    told = f"content ({size}), first at byte {at}"
    if names := changed_sections(first, second):
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        return f"{told}, in the ELF sections {', '.join(names[:_SHOWN])}{more}"
    if change := changed_line(first, second):
        return f"{told}, {change}"
    return told


def first_difference(first: Path, second: Path) -> int | None:
    """The offset of the first byte that differs, or None when the files are equal."""
    with first.open("rb") as one, second.open("rb") as two:
        at = 0
        for piece, other in zip_longest(pieces(one), pieces(two), fillvalue=b""):
            if piece != other:
                length = min(len(piece), len(other))
                return at + next((i for i in range(length) if piece[i] != other[i]), length)
            at += len(piece)
    return None


def changed_line(first: Path, second: Path) -> str:
    """The first line that differs of two small texts; empty for anything else."""
    if max(first.stat().st_size, second.stat().st_size) > _TEXT:
        return ""
    with suppress(UnicodeDecodeError):
        texts = first.read_bytes().decode(), second.read_bytes().decode()
        if "\0" in texts[0] + texts[1]:
            return ""
        lines, others = (text.splitlines() for text in texts)
        for number, (line, other) in enumerate(zip_longest(lines, others), 1):
            if line != other:
                return f"line {number}: {short(line)} became {short(other)}"
    return ""


def diff_lines(first: Path, second: Path) -> list[str]:
    """The unified diff of two small texts; empty for anything else."""
    if not changed_line(first, second):
        return []
    texts = first.read_text().splitlines(), second.read_text().splitlines()
    return list(difflib.unified_diff(*texts, fromfile="first build", tofile="second build", lineterm=""))


def changed_sections(first: Path, second: Path) -> list[str]:
    """The sections that two ELF files do not share, in the order of the files; empty for anything else."""
    try:
        one, two = sections(first), sections(second)
    except (ValueError, struct.error, LookupError):
        return []
    return [name for name in dict.fromkeys([*one, *two]) if one.get(name) != two.get(name)]


def sections(path: Path) -> dict[str, tuple[str, ...]]:
    """The sections of an ELF file: name to the checksums of all sections of that name.

    Raises:
        ValueError, struct.error, LookupError: It is no ELF file, or a damaged one.
    """
    with path.open("rb") as file:
        head = file.read(64)
        if head[:4] != b"\x7fELF":
            raise ValueError
        wide, order = head[4] == 2, "<" if head[5] == 1 else ">"
        shoff = struct.unpack_from(order + ("Q" if wide else "I"), head, 40 if wide else 32)[0]
        size, count, labels_at = struct.unpack_from(order + "HHH", head, 58 if wide else 46)
        layout = struct.Struct(order + ("IIQQQQ" if wide else "IIIIII"))  # name, type, flags, address, offset, size
        file.seek(shoff)
        table = file.read(size * count)
        headers = [layout.unpack_from(table, number * size) for number in range(count)]
        labels = _part(file, headers[labels_at])
        found: dict[str, tuple[str, ...]] = {}
        for header in headers:
            name = labels[header[0] :].split(b"\0", 1)[0].decode(errors="replace")
            content = b"" if header[1] == _NOBITS else _part(file, header)
            summed = f"{header[1]} {header[5]} {hashlib.sha256(content).hexdigest()}"
            found[name] = (*found.get(name, ()), summed)
    found.pop("", None)
    return found


def _part(file: IO[bytes], header: tuple[int, ...]) -> bytes:
    file.seek(header[4])
    return file.read(header[5])


def checksum(file: IO[bytes]) -> bytes:
    """The SHA-256 of what a file has."""
    digest = hashlib.sha256()
    for piece in pieces(file):
        digest.update(piece)
    return digest.digest()


def pieces(file: IO[bytes]) -> Iterator[bytes]:
    """The content of a file, a megabyte at a time."""
    while piece := file.read(_PIECE):
        yield piece


@contextmanager
def differ(beside: Path, *, limit: int = LIMIT) -> Iterator[Differ]:
    """A differ whose copies are in a folder inside `beside`, gone when the block ends."""
    with TemporaryDirectory(prefix="differ-", dir=beside) as folder:
        yield Differ(folder=Path(folder), limit=limit)
