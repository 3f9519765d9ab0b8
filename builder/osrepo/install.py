"""`rosk install-into`: a release's kernel into a checkout of an OS."""

from __future__ import annotations

import json
import platform
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from builder.arch import ARCHES, Arch
from builder.errors import InputError, RoskError
from builder.osrepo.changes import Change, apply, diff, needed, plain_path
from builder.osrepo.checkout import ASSET, DOCKERFILE, Checkout, read_checkout
from builder.osrepo.edits import edited
from builder.process import run
from builder.release import shown_path
from builder.releasefolder import ReleaseFolder, find_release


@dataclass(frozen=True, kw_only=True)
class InstallOptions:
    """What to install, and how.

    Attributes:
        dist: The folder of the release.
        url: Where the OS's build is to download the kernel package; None: it becomes an asset of the checkout.
        dry_run: Print the diff, and write nothing.
        verify: Do the fast checks on the release first.
        as_json: Print what was done as one JSON object, and nothing else on standard output.
    """

    dist: Path
    url: str | None = None
    dry_run: bool = False
    verify: bool = True
    as_json: bool = False


@dataclass(frozen=True, kw_only=True)
class Installed:
    """What an install changes.

    Attributes:
        checkout: The checkout as it was.
        release: The release.
        arch: Its architecture.
        changes: The files that change.
        dirty: Files of the checkout that had been changed before, as git says.
        commands: What to run next, in the checkout.
        notes: What the user has to know.
    """

    checkout: Checkout
    release: ReleaseFolder
    arch: Arch
    changes: tuple[Change, ...]
    dirty: tuple[str, ...]
    commands: tuple[str, ...]
    notes: tuple[str, ...]


def run_install(root: Path, options: InstallOptions) -> None:
    """Put the kernel of a release into a checkout of an OS, and say what to run next.

    Raises:
        InputError: It is no checkout of an OS, has not the lines that are known, or cannot be written: it is as it was.
        VerifyError: The release does not pass the fast checks.
        NoSpaceError: The disk is full.
    """
    release = find_release(options.dist)
    found = plan_install(root, release, url=options.url)
    if options.verify:
        _verify(release)
    if not options.dry_run:
        apply(root, found.changes)
    if options.as_json:
        print(json.dumps(_as_json(found, options), indent=1))
        return
    for line in _text(found, options):
        print(line)


def plan_install(root: Path, release: ReleaseFolder, *, url: str | None, host: str | None = None) -> Installed:
    """What has to change in a checkout.

    Args:
        url: See `InstallOptions`; one that ends in a slash is a folder with the package in it.
        host: The release of the kernel that this machine runs; None: look.

    Raises:
        InputError: See `run_install`.
    """
    checkout = read_checkout(root)
    arch = ARCHES.get(release.a)
    package = release.packages["kernel"]
    if arch is None:
        raise InputError(f"no OS is built for {release.a}", where=package, hint=f"known are {', '.join(ARCHES)}")
    if not package.name.endswith(".tar.gz"):
        raise InputError(
            "the OS takes a kernel package that is compressed with gzip",
            where=package,
            hint="set packages.compression: gzip in the settings, and build again",
        )
    changes: list[Change] = []
    if url is None:
        changes += _asset(checkout, package)
    else:
        url = f"{url}{package.name}" if url.endswith("/") else url
        _no_asset(checkout)
    before = checkout.dockerfile.encode("utf-8", "surrogateescape")
    after = edited(checkout, arch, release.v, url).encode("utf-8", "surrogateescape")
    changes.append(Change(name=DOCKERFILE, before=before, after=after))
    return Installed(
        checkout=checkout,
        release=release,
        arch=arch,
        changes=tuple(needed(changes)),
        dirty=dirty(root),
        commands=_commands(checkout, arch, release.v, host or platform.release()),
        notes=tuple(_notes(checkout, arch, release.v, url)),
    )


def _asset(checkout: Checkout, package: Path) -> list[Change]:
    """The package as an asset; none when it is there already.

    Raises:
        InputError: This OS takes no asset, or something else is in its place.
    """
    if checkout.takes_asset is False:
        raise InputError(
            f"this version of the OS takes no {ASSET} (RancherOS does from v0.8.0 on)",
            where=checkout.root,
            hint="offer the kernel package on a web server, and give its --url",
        )
    path = plain_path(checkout.root, ASSET)
    if path.is_file() and _same(path, package):
        return []
    return [Change(name=ASSET, before=None, after=package)]


def _same(one: Path, other: Path) -> bool:
    """Whether two files hold the same."""
    if one.stat().st_size != other.stat().st_size:
        return False
    with one.open("rb") as first, other.open("rb") as second:
        while True:
            block = first.read(1 << 20)
            if block != second.read(1 << 20):
                return False
            if not block:
                return True


def _no_asset(checkout: Checkout) -> None:
    path = plain_path(checkout.root, ASSET)
    if checkout.takes_asset is not False and path.is_file():
        raise InputError(
            "this kernel is there already, and wins over any download", where=path, hint=f"rm {shlex.quote(str(path))}"
        )


def _verify(release: ReleaseFolder) -> None:
    """The fast checks.

    Raises:
        VerifyError: One failed.
    """
    from builder.verify.run import examine, failure  # noqa: PLC0415 - not for --no-verify

    report = examine(release.root, cheap=True)
    if report.failed:
        raise failure(report)


def dirty(root: Path, *, untracked: Literal["no", "all"] = "no") -> tuple[str, ...]:
    """The files that git says were changed before, and those that it does not know; none where git cannot say."""
    if not (root / ".git").exists():
        return ()
    argv = ["git", "-c", "core.fsmonitor=false", "status", "--porcelain", f"--untracked-files={untracked}"]
    try:
        done = run(argv, cwd=root, check=False, timeout=60)
    except RoskError:
        return ()
    return tuple(line[3:] for line in done.stdout.splitlines()) if done.returncode == 0 else ()


def _commands(checkout: Checkout, arch: Arch, v: str, host: str) -> tuple[str, ...]:
    words = []
    if checkout.checks_host and older(host, v):
        words.append("KERNEL_CHECK=0")
    if arch.oci != "amd64":
        words.append(f"ARCH={arch.oci}")
    return (f"cd {shlex.quote(str(checkout.root))}", " ".join([*words, "make release"]))


def older(host: str, v: str) -> bool:
    """Whether a kernel release sorts before another one, as `sort -V` has it, which scripts/build asks."""
    return _key(host) < _key(v)


def _key(release: str) -> list[tuple[int, int, str]]:
    parts = re.findall(r"\d+|[^\d.-]+", release)
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts]


def _notes(checkout: Checkout, arch: Arch, v: str, url: str | None) -> Iterator[str]:
    if checkout.checks_host:
        yield f"{checkout.name}'s build stops on a host with a kernel older than {v}, unless KERNEL_CHECK=0 is set"
    if url is None:
        yield f"{ASSET} is taken whatever ARCH is built: this one is for {arch.oci}"
        if checkout.takes_asset is None:
            yield f"no scripts/layout is there to tell whether this OS takes {ASSET}"
    others = [name for name in checkout.arguments if name.startswith("KERNEL_URL_") and not name.endswith(arch.oci)]
    if others and checkout.version_argument(arch.oci) == "KERNEL_VERSION":
        yield f"{' and '.join(others)} follows KERNEL_VERSION too: a build with that ARCH looks there for {v}"


def _text(found: Installed, options: InstallOptions) -> Iterator[str]:
    for name in found.dirty:
        yield f"warning: {name} had been changed before and not committed"
    if options.dry_run:
        yield from diff(found.changes)
        return
    root = found.checkout.root
    yield from (f"wrote {shown_path(root / change.name)}" for change in found.changes)
    if not found.changes:
        yield f"{shown_path(root)} has this kernel already"
    yield f"{found.checkout.name} will be built with Linux {found.release.v} for {found.arch.oci}"
    yield from (f"note: {note}" for note in found.notes)
    yield ""
    yield "Next:"
    yield from (f"  {command}" for command in found.commands)


def _as_json(found: Installed, options: InstallOptions) -> dict[str, object]:
    return {
        "checkout": str(found.checkout.root),
        "os": found.checkout.name,
        "release": found.release.v,
        "arch": found.arch.name,
        "written": not options.dry_run,
        "files": [change.name for change in found.changes],
        "diff": list(diff(found.changes)),
        "changed_before": list(found.dirty),
        "notes": list(found.notes),
        "next": list(found.commands),
    }
