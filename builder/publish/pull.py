"""`rosk pull`: the files of a release out of a registry or an OCI layout, each checked, whole or not at all."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from builder.errors import FetchError, InputError, RoskError
from builder.files import file_errors, uninterrupted
from builder.inputs.fetch import default_cache
from builder.inputs.store import Entry, cache_errors, file_sha256
from builder.publish.artifact import RELEASE_NAME
from builder.publish.content import OCI_MANIFEST, Descriptor, Store, parse_json, read_layout
from builder.publish.credentials import find_credentials
from builder.publish.http import Failure, Http
from builder.publish.registry import RegistryClient
from builder.publish.unpack import check_sums, layers
from builder.release import human_size, shown_path
from builder.releasefolder import find_release
from builder.settings import Registry
from builder.settings.grammar import HOST, REPOSITORY
from builder.trust.check import check_signature, is_signed

_REFERENCE = re.compile(rf"({HOST})/({REPOSITORY})(?::(\w[\w.-]{{0,127}}))?(?:@(sha256:[0-9a-f]{{64}}))?")
_HINT = f"write HOST/ORG/{RELEASE_NAME}:V, as the table of `rosk publish` shows it, or oci:FOLDER"


@dataclass(frozen=True, kw_only=True)
class Pulled:
    """What was pulled: the folder, the artifact's digest, the kernel release and its architecture."""

    folder: Path
    digest: str
    v: str
    a: str


def pull(
    reference: str,
    *,
    into: Path | None,
    registry: Callable[[str], Registry],
    note: Callable[[str], None],
    http: Callable[[Registry], Http] | None = None,
    keys: Sequence[Path] = (),
    allow_unsigned: bool = False,
) -> Pulled:
    """Get a release.

    Args:
        reference: `HOST/ORG/os-kernel-release:V`, the same with a digest, or `oci:FOLDER[:NAME]`.
        into: The folder to write, which is new, empty, or the same release; `./V-A` when None.
        registry: How a host is to be talked to.
        note: Told what is done.
        keys: Files of public keys, of which one must have signed it; none: nobody need have.
        allow_unsigned: One that nobody has signed will do as well.

    Raises:
        InputError: The reference, or what it stands for, is no release; the folder holds something else; a key cannot
            be used.
        VerifyError: None of the keys has signed it.
        FetchError: It cannot be had, or is not what its SHA256SUMS says. What has arrived is kept, and a second try
            goes on from there.
    """
    cache = default_cache()

    def prove(folder: Path) -> None:
        if keys and (is_signed(folder) or not allow_unsigned):
            note(check_signature(folder, keys))

    if reference.startswith("oci:"):
        digest, files = _from_layout(reference)
        titles = dict(files)
    else:
        client, repository, wanted = _client(reference, registry, http)
        with _fetching(reference):
            client.open()
            found = client.tagged(repository, wanted)
            if found is None:
                raise Failure("there is no such reference")
        digest = found.digest
        titles, fetched = {}, dict[str, Path]()
        for name, descriptor in _layers(found.data, reference).items():
            if descriptor.digest not in fetched:  # the cache has content once, by the name that was asked for last
                note(f"{name} ({human_size(descriptor.size)})")
                with _fetching(reference):
                    fetched[descriptor.digest] = _fetch(client, repository, descriptor, cache, Path(name).name)
            titles[name] = fetched[descriptor.digest]
    return _place(titles, digest, into, note, prove, where=reference)


def _client(
    reference: str, registry: Callable[[str], Registry], http: Callable[[Registry], Http] | None
) -> tuple[RegistryClient, str, str]:
    match = _REFERENCE.fullmatch(reference)
    if match is None or not (match[3] or match[4]) or not re.search(r"[.:]|^localhost$", match[1]):
        raise InputError(f"{reference!r} is no reference of a release", hint=_HINT)
    settings = registry(match[1]).model_copy(update={"prefix": ""})
    connection = http(settings) if http else Http(ca=settings.ca)
    client = RegistryClient(settings, connection, credentials=lambda: find_credentials(match[1]), actions="pull")
    return client, match[2], match[4] or match[3]


@contextmanager
def _fetching(reference: str) -> Iterator[None]:
    try:
        yield
    except Failure as failure:
        raise FetchError(
            f"cannot pull {reference}: {failure}", hint="what has arrived is kept: run it again to go on from there"
        ) from failure


def _layers(manifest: bytes, where: str) -> dict[str, Descriptor]:
    try:
        return layers(parse_json(manifest))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise InputError(str(error), where=where, hint=_HINT) from error


def _from_layout(reference: str) -> tuple[str, dict[str, Path]]:
    """The one release of a layout, or the one that is named after the folder (`oci:FOLDER:ORG/os-kernel-release:V`)."""
    store = Store()
    text = reference.removeprefix("oci:")
    folder, _, name = text.partition(":")
    named = read_layout(Path(folder), store)
    found = {key: each for key, each in named.items() if key == name or (not name and f"/{RELEASE_NAME}:" in key)}
    found = {key: each for key, each in found.items() if ":sha256-" not in key}
    if len({each.digest for each in found.values()}) != 1:
        what = f"it holds {len(found)} releases" if found else f"it holds no {name or 'release'}"
        names = sorted(key for key in named if f"/{RELEASE_NAME}:" in key and ":sha256-" not in key)
        raise InputError(what, where=folder, hint="name one after the folder: oci:FOLDER:NAME", details=names)
    descriptor = next(iter(found.values()))
    if descriptor.media_type != OCI_MANIFEST:
        raise InputError("it is an index, not a release", where=folder, hint=_HINT)
    files = _layers(store.blob(descriptor.digest).read(), reference)
    paths = {name: store.blob(each.digest).file for name, each in files.items()}
    return descriptor.digest, {name: path for name, path in paths.items() if path is not None}


def _fetch(client: RegistryClient, repository: str, descriptor: Descriptor, cache: Path, name: str) -> Path:
    """A blob by its digest: from the cache, or else from the registry, from where it broke off."""
    entry = Entry(cache=cache, sha256=descriptor.digest.removeprefix("sha256:"), name=name)

    def attempt() -> None:
        offset = entry.part.stat().st_size if entry.part.exists() else 0
        if offset > descriptor.size:
            entry.part.unlink()
            offset = 0
        if offset < descriptor.size:
            with entry.part.open("ab") as part:
                for piece in client.read_blob(repository, descriptor, offset):
                    offset += len(piece)
                    if offset > descriptor.size:
                        break
                    part.write(piece)
        if offset < descriptor.size:
            raise Failure(f"{name} ended after {offset} of {descriptor.size} bytes", kind="broken", wait=0)
        if offset > descriptor.size or file_sha256(entry.part) != entry.sha256:
            entry.part.unlink()
            raise Failure(f"{name} is not what its digest says", wait=0)

    with cache_errors(cache), entry.locked():
        if there := entry.find():
            return there
        if not descriptor.size:
            entry.part.touch()
        client.http.patiently(attempt)
        return entry.adopt(entry.part)


def _place(
    files: dict[str, Path],
    digest: str,
    into: Path | None,
    note: Callable[[str], None],
    prove: Callable[[Path], None],
    *,
    where: str,
) -> Pulled:
    """Put files together as a release, beside its place; it gets that when it is right, and proven."""
    parent = (into or Path()).absolute().parent if into else Path.cwd()
    errors = file_errors(parent, name="folder", full="make room there", refused="name another with --into")
    with errors:
        parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".rosk-", dir=parent))
        try:
            new = work / "release"
            (new / "kernel").mkdir(parents=True)
            sums = {}
            for name, path in files.items():
                shutil.copyfile(path, new / name)
                sums[name] = file_sha256(new / name)
            with _arrived(where):
                check_sums(new, sums)
                release = find_release(new)
            try:
                prove(new)
            except RoskError as error:
                within = isinstance(error.where, Path) and error.where.is_relative_to(new)
                error.where = where if within else error.where
                raise
            folder = into or Path(f"{release.v}-{release.a}")
            _swap(folder, new, sums, note)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return Pulled(folder=folder, digest=digest, v=release.v, a=release.a)


@contextmanager
def _arrived(where: str) -> Iterator[None]:
    """What is wrong with files that have arrived is nothing that the user wrote, and they lie in no folder of his."""
    try:
        yield
    except InputError as error:
        raise FetchError(error.what, where=where, details=error.details, hint="get it from elsewhere") from error


def _swap(folder: Path, new: Path, sums: dict[str, str], note: Callable[[str], None]) -> None:
    """Let a new folder have its place, unless something else has it."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        if folder.is_dir() and all(_same(folder / name, sha256) for name, sha256 in sums.items()):
            note(f"{shown_path(folder.absolute())} has it already")
            return
        raise InputError("there is something else", where=folder, hint="name a new folder with --into")
    with uninterrupted():
        if folder.exists():
            folder.rmdir()
        new.rename(folder)


def _same(file: Path, sha256: str) -> bool:
    return file.is_file() and not file.is_symlink() and file_sha256(file) == sha256
