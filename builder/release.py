"""The release folder `dist/`: replaced as a whole by a complete build, or not at all."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builder import __version__
from builder.errors import BuildError, InputError, InterruptedBuild
from builder.files import file_errors, uninterrupted
from builder.graph import Resolved
from builder.inputs.store import file_sha256, write_atomically
from builder.project import Project
from builder.summing import Sums

MANIFEST, BUILD, VERIFY, REPORT = "manifest.json", "build.json", "verify.json", "report.html"
SUMS, IMAGES, SBOM, PROVENANCE = "SHA256SUMS", "images", "sbom.spdx.json", "provenance.intoto.json"
NAMES = (MANIFEST, SUMS, IMAGES, SBOM, PROVENANCE, REPORT, BUILD, VERIFY)
"""The files of `dist` beside `kernel/` that belong to a release. SBOM and PROVENANCE say what is in it and what it was
made from (`builder.trust`), BUILD how it was built (`builder.current`), VERIFY what its checks saw (`builder.verify`),
and REPORT shows it all (`builder.report`). They take their places in this order: with BUILD and VERIFY, by which a
release counts as whole, the rest is there."""
SUMMED = (MANIFEST, IMAGES, SBOM, PROVENANCE)
"""Those that SUMS vouches for beside `kernel/`; the others grow with what is found out about the release."""
SIGNATURES = {
    "minisign": f"{SUMS}.minisig",
    "ssh": f"{SUMS}.sig",
    "gpg": f"{SUMS}.asc",
    "cosign": f"{SUMS}.sigstore.json",
}
"""The signature over SUMS that each method makes (`builder.trust.signing`)."""
BOOT = "boot.json"
"""What `rosk boot` found."""
REJECTED = "rejected"
"""The folder of `dist` with the last release that did not pass its checks."""
_OF_ONE_RELEASE = (BOOT, *SIGNATURES.values())
CONTEXT = "context"
"""The folder of a staging folder that is the build context."""
MANIFEST_SCHEMA = 1
"""The form of the manifest (`config/manifest.schema.json`)."""
_STAGING = ".rosk-"
_TAKES_PLACE = "takes-place"
"""A file of a staging folder, there while its release takes its place: of who is killed then it is left."""


@contextmanager
def staging(dist: Path) -> Iterator[Path]:
    """A folder inside `dist` for a release in the making; it is gone when the block ends, however it ends.

    What a killed build left behind is cleared first: its folder is removed, and `dist` has one release, whole.
    """
    with output_errors(dist), ExitStack() as stack:
        dist.mkdir(parents=True, exist_ok=True)
        with _locked(dist):
            _clear_left(dist)
            folder = Path(tempfile.mkdtemp(prefix=_STAGING, dir=dist))
            stack.callback(_end, folder, dist)
            lock = stack.enter_context((folder / "lock").open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder


@contextmanager
def _locked(dist: Path) -> Iterator[None]:
    """Hold a lock on `dist` itself: one build at a time clears it, or swaps a release."""
    folder = os.open(dist, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _end(folder: Path, dist: Path) -> None:
    """Remove the staging folder of a build that has come to its end, while no other build is between its renames."""
    try:
        with _locked(dist):
            _remove(folder, dist)
    except FileNotFoundError:  # somebody has removed all of it
        return


def _remove(folder: Path, dist: Path) -> None:
    """Remove a staging folder. The release before is put back where its build was killed before the new one had its
    place; where only the files beside `kernel` were missing, these get theirs.
    """
    if (folder / "previous").exists() and not (dist / "kernel").exists():
        (folder / "previous").rename(dist / "kernel")
    elif (folder / _TAKES_PLACE).exists() and not (folder / "kernel").exists():
        with suppress(OSError):
            _place_files(dist, folder, [name for name in NAMES if (folder / name).exists()])
    shutil.rmtree(folder, ignore_errors=True)


def output_errors(dist: Path) -> AbstractContextManager[None]:
    """Turn the system's refusals to write into errors of rosk; see `file_errors`."""
    return file_errors(
        dist,
        name="release folder",
        full="make room; the release before is as it was",
        refused="rosk writes its release there: see that it can",
    )


def _clear_left(dist: Path) -> None:
    """Clear what killed builds have left; `dist` is locked."""
    for left in dist.glob(f"{_STAGING}*"):
        _clear(left, dist)


def _clear(left: Path, dist: Path) -> None:
    """Remove another build's staging folder, unless that build still holds its lock."""
    try:
        with (left / "lock").open("r+") as lock:  # without one it is no build's
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(left, dist)
    except OSError:
        return


def file_names(project: Project, release: str) -> tuple[str, ...]:
    """The files of `dist/kernel` for the kernel release `release`, in the order of the summary."""
    return (*project.packages(release).values(), "config", "modules-main.list", "modules-extra.list")


def describe_release(
    project: Project,
    resolved: Resolved,
    folder: Path,
    *,
    sums: Mapping[str, Sum],
    images: Mapping[str, str],
    command: Sequence[str],
    archives: Mapping[str, str] | None = None,
    firmware: str | None = None,
    signing: Mapping[str, str] | None = None,
    modules: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Write manifest, checksums, documents and list of images for what a complete build exported into `folder`.

    Args:
        folder: The staging folder, with `kernel/` in it, and the reports of the stages where there are some.
        sums: The packages, as the build summed them up.
        images: Image tag to digest, in the order of `dist/images`.
        command: The command line that reproduces the build.
        archives: The SHA-256 of the archives that `source` and `firmware` were, where they were that.
        firmware: The revision of the firmware that ships.
        signing: What is public of the key that signed the modules, where one did.
        modules: What the external modules are from (`builder.external.model`).

    Returns:
        The manifest.

    Raises:
        BuildError: The export is not complete.
    """
    from builder.trust.documents import write_documents  # noqa: PLC0415 - not for a build that has nothing to do

    release, kernel = project.release(resolved.kernel_version), folder / "kernel"
    missing = [name for name in file_names(project, release) if not (kernel / name).is_file()]
    if missing:
        raise BuildError(f"the build exported no {missing[0]}", hint="this is an error in rosk; please report it")
    known = {wanted.name: {"size": wanted.size, "sha256": wanted.sha256} for wanted in sums.values()}
    outputs = {f"kernel/{path.name}": known.get(path.name) or describe(path) for path in sorted(kernel.iterdir())}
    inputs = describe_inputs(project, folder / CONTEXT)
    manifest = {**_manifest(project, resolved, command, inputs), "outputs": outputs, "images": dict(images)}
    sums_of = archives or {}
    manifest["source"]["sha256"] = sums_of.get("source")
    manifest["firmware"] = {"revision": firmware, "sha256": sums_of.get("firmware")}
    if signing:
        manifest["signing"] = dict(signing)
    if modules:
        manifest["modules"] = [dict(module) for module in modules]
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
    (folder / IMAGES).write_text("".join(f"{tag}\n" for tag in images))
    write_documents(project, folder, manifest)
    summed = {**outputs, **{name: describe(folder / name) for name in SUMMED}}
    lines = "".join(f"{entry['sha256']}  {name}\n" for name, entry in summed.items())
    (folder / SUMS).write_text(lines)
    return manifest


def commit(dist: Path, folder: Path, *, then: Callable[[], None] = lambda: None) -> None:
    """Make what is complete in a staging folder the release in `dist`.

    Args:
        then: Called when it is, whoever stops the rest.

    Raises:
        OSError: It could not be written. The release before is as it was, unless its `kernel` was replaced already:
            then the manifest is not that of the files, and the next build makes it all again.
        InterruptedBuild: The user stopped it, before or after: `hint` says which release is there.
    """
    for name in (*NAMES, *_OF_ONE_RELEASE):
        if (dist / name).is_dir():
            raise IsADirectoryError(errno.EISDIR, "is a folder", str(dist / name))
    try:
        with _locked(dist), uninterrupted():
            _clear_left(dist)
            (folder / _TAKES_PLACE).touch()
            try:
                with suppress(FileNotFoundError):
                    (dist / "kernel").rename(folder / "previous")
                (folder / "kernel").rename(dist / "kernel")
                _place_files(dist, folder, NAMES)
            finally:
                (folder / _TAKES_PLACE).unlink()
            then()
    except InterruptedBuild as error:
        if not (folder / NAMES[-1]).exists():
            error.hint = "the new release is in its place, and whole"
        raise
    forget_rejected(dist)


def _place_files(dist: Path, folder: Path, names: Iterable[str]) -> None:
    """Have the files beside `kernel` in the place of those of the release before."""
    for name in _OF_ONE_RELEASE:
        (dist / name).unlink(missing_ok=True)
    for name in names:
        (folder / name).replace(dist / name)


def forget_rejected(dist: Path) -> bool:
    """Remove the last release that did not pass, once `dist` has one that does; says whether there was one."""
    found = (dist / REJECTED).is_dir()
    shutil.rmtree(dist / REJECTED, ignore_errors=True)
    return found


def place_signature(dist: Path, name: str, signature: bytes, *, signed: bytes) -> Path:
    """Put a signature beside the release in `dist`, and return its file.

    Args:
        name: One of SIGNATURES.
        signed: What was signed: SUMS of the release as it was then.

    Raises:
        InputError: The release is another one by now.
    """
    with output_errors(dist), _locked(dist):
        if (dist / SUMS).read_bytes() != signed:
            raise InputError(
                "another release took the place of the one that was signed", where=dist, hint="sign it again: rosk sign"
            )
        write_atomically(dist / name, signature)
    return dist / name


def reject(dist: Path, folder: Path) -> Path:
    """Put a staged release that is not to be used where it can be looked at, and return that folder."""
    target = dist / REJECTED
    with _locked(dist):
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        for name in ("kernel", *NAMES):
            with suppress(FileNotFoundError):
                (folder / name).rename(target / name)
    return target


@dataclass(frozen=True, kw_only=True)
class Sum:
    """What a file of the release has to be: its name in `dist/kernel`, size in bytes and SHA-256 (hex)."""

    name: str
    size: int
    sha256: str


def read_sums(folder: Path) -> dict[str, Sum]:
    """The packages of a build, `kernel`, `extras`, `headers` and `source`, from the reports of their stages."""
    return {path.stem: Sum(**json.loads(path.read_text())) for path in sorted(folder.glob("*.json"))}


def holds(folder: Path, wanted: Sum, known: Sums | None = None) -> bool:
    """Whether a folder holds this very file; `known`: what has been summed up already."""
    path = folder / wanted.name
    if not path.is_file() or path.is_symlink() or path.stat().st_size != wanted.size:
        return False
    return (known or Sums()).sha256(path) == wanted.sha256


def has(dist: Path, folder: Path, wanted: Sum, known: Sums | None = None) -> bool:
    """Whether the new release in `folder` has a package, be it that the build has brought it, or that `dist` has it."""
    return holds(folder / "kernel", wanted, known) or keep(dist, folder, wanted, known)


def keep(dist: Path, folder: Path, wanted: Sum, known: Sums | None = None) -> bool:
    """Let a package of the release in `dist` be one of the new release in `folder`, if it is the very same.

    Another build may replace the release meanwhile: what is looked at is what is kept.
    """
    new = folder / "kernel" / wanted.name
    try:
        take_over(dist / "kernel" / wanted.name, new)
    except FileNotFoundError:
        return False
    if holds(new.parent, wanted, known):
        return True
    new.unlink()
    return False


def take_over(old: Path, new: Path) -> None:
    """Let a file of the release before be one of the new release as well."""
    try:
        os.link(old, new, follow_symlinks=False)
    except FileNotFoundError:
        raise
    except OSError:  # a file system without hard links
        shutil.copyfile(old, new, follow_symlinks=False)


def describe(path: Path) -> dict[str, Any]:
    """Size in bytes and SHA-256 (hex) of a file."""
    return {"size": path.stat().st_size, "sha256": file_sha256(path)}


def describe_inputs(project: Project, context: Path) -> dict[str, dict[str, Any]]:
    """Size and SHA-256 of each input of a build, by its name in the build context.

    What was built is what the context has: the project's own file may have been edited since. Of what the context lacks
    (a patch that is not meant for this kernel version) nothing was built.
    """
    return {
        name: describe(copy if (copy := context / name).is_file() else path) for name, path in project.inputs.items()
    }


def _manifest(
    project: Project, resolved: Resolved, command: Sequence[str], inputs: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    return {
        "schema": MANIFEST_SCHEMA,
        "rosk": __version__,
        "release": project.release(resolved.kernel_version),
        "arch": project.arch.name,
        "source_date_epoch": resolved.epoch,
        "reproduce": list(command),
        "source": {
            "kind": project.source.kind,
            "from": str(project.source),
            "kernel_version": resolved.kernel_version,
            "package_version": resolved.source_package,
        },
        "toolchain": {"base": resolved.base, "base_digest": resolved.base_digest, "packages": dict(resolved.packages)},
        "inputs": dict(inputs),
        "settings": project.settings.model_dump(mode="json"),
    }


def human_size(size: int) -> str:
    """Bytes as people read them: `812 B`, `4.2 MB`."""
    number = float(size)
    for unit in ("B", "kB", "MB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" or number >= 100 else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} GB"


def shown_path(path: Path) -> str:
    """A path as short as it can be said: relative to the current folder when it is below it."""
    with suppress(ValueError):
        return f"./{path.relative_to(Path.cwd())}"
    return str(path)
