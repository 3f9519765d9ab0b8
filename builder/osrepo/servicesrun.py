"""`rosk services` from the settings to what is said at its end."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from builder.arch import ARCHES
from builder.errors import InputError
from builder.osrepo.changes import Change, apply, diff, needed
from builder.osrepo.install import dirty
from builder.osrepo.repository import Branch, find_branches, is_clone, plan_services
from builder.osrepo.serve import HOST, make_server, serve
from builder.osrepo.services import SERVICES
from builder.project import SETTINGS_FILE
from builder.release import shown_path
from builder.releasefolder import ReleaseFolder, find_release
from builder.settings import Settings, load_settings


@dataclass(frozen=True, kw_only=True)
class ServicesOptions:
    """What to write, and what else to do.

    Attributes:
        project: The project's folder.
        dist: The folder of the release whose images the services run; `dist` of the project when None.
        versions: The versions of the OS.
        dry_run: Print the diff, and write nothing.
        port: Offer the repository on this port of loopback; None: do not.
        as_json: Print what was done as one JSON object, and nothing else on standard output.
    """

    project: Path = Path()
    dist: Path | None = None
    versions: tuple[str, ...] = ()
    dry_run: bool = False
    port: int | None = None
    as_json: bool = False


def run_services(root: Path, options: ServicesOptions) -> None:
    """Write the services of the project's kernel into a services repository.

    Raises:
        InputError: See `builder.osrepo.repository`; or the release in dist has no such images.
        NoSpaceError: The disk is full.
    """
    if options.dry_run and options.port is not None:
        raise InputError("--serve offers what is written, and --dry-run writes nothing", hint="give one of them")
    if root.exists() and not root.is_dir():
        raise InputError("this is no folder", where=root, hint="choose another one")
    settings = load_settings(options.project / SETTINGS_FILE)
    branches = find_branches(root, options.versions)
    release = _release(settings.org, options)
    unknown = [branch.name for branch in branches if not branch.version.has_kernel]
    if unknown and release is None:
        raise InputError(
            f"an OS as old as {unknown[0]} does not tell a service which kernel runs",
            hint="build the kernel first, or name its folder with --dist: its release is written into the services",
        )
    changes = needed(plan_services(root, branches, settings.org, release.v if release else None))
    replaced = {change.name for change in changes if change.before is not None}
    changed = [name for name in dirty(root, untracked="all") if name in replaced]
    with ExitStack() as stack:
        server = None
        if options.port is not None:
            folders = {branch.name: branch.folder for branch in branches}
            server = stack.enter_context(make_server(root, folders, options.port))
        if not options.dry_run:
            apply(root, changes)
        if options.as_json:
            print(json.dumps(_as_json(root, branches, changes, settings.org, release, options), indent=1), flush=True)
        else:
            for line in _text(root, branches, changes, settings, release, options, changed):
                print(line)
        if server is not None:
            for line in _offered(branches, server.server_port):
                print(line, file=sys.stderr if options.as_json else sys.stdout, flush=True)
            serve(server)


def _release(org: str, options: ServicesOptions) -> ReleaseFolder | None:
    """The release whose images the services name; None when the project has none yet.

    Raises:
        InputError: It has not the images that the services name.
    """
    dist = options.dist or options.project / "dist"
    if options.dist is None and not (dist / "kernel").is_dir():
        return None
    release = find_release(dist)
    suffix = ARCHES[release.a].tag_suffix if release.a in ARCHES else f"_{release.a}"
    listed = set(release.images) & set(release.manifest.get("images") or release.images)
    for image in dict.fromkeys(service.image for service in SERVICES):
        tag = f"{org}/{image}:{release.v}{suffix}"
        if tag not in listed:
            raise InputError(
                f"the services run {tag}, and the release has no such image",
                where=dist,
                hint="its images are in the file `images`; `rosk build` with these settings makes them",
            )
    return release


def _text(
    root: Path,
    branches: Sequence[Branch],
    changes: Sequence[Change],
    settings: Settings,
    release: ReleaseFolder | None,
    options: ServicesOptions,
    changed: Sequence[str],
) -> Iterator[str]:
    yield from (f"warning: {name} had been changed before and not committed" for name in changed)
    if options.dry_run:
        yield from diff(changes)
    else:
        yield from (f"wrote {shown_path(root / change.name)}" for change in changes)
    if not changes:
        yield f"{shown_path(root)} has these services already"
    if release is None:
        yield "there is no release in dist yet: whether the images exist was not checked"
    else:
        yield f"the images are those of {release.v}; push them, or no OS finds them"
    if options.dry_run or options.port is not None:
        return
    yield ""
    yield from _next(root, branches, settings)


def _next(root: Path, branches: Sequence[Branch], settings: Settings) -> Iterator[str]:
    if is_clone(root):
        yield f"Next: commit and push the branch {branches[0].name} of {shown_path(root)}. On the OS:"
    else:
        yield f"Next: offer {shown_path(root)} as BASE on a web server. On the OS:"
    one = branches[0].name if len(branches) == 1 else "BRANCH"
    yield f"  ros config set rancher.repositories.core.url BASE/{one}"
    if settings.registries and any(branch.version.has_registry for branch in branches):
        yield f"  ros config set rancher.environment.REGISTRY_DOMAIN {settings.registries[0]}"
    yield from _used()
    if len(branches) > 1:
        yield f"BRANCH is what the OS asks for: {', '.join(branch.name for branch in branches)}"


def _offered(branches: Sequence[Branch], port: int) -> Iterator[str]:
    yield ""
    yield f"Offered on http://{HOST}:{port} until you stop it (Ctrl-C). On the OS:"
    for branch in branches:
        yield f"  ros config set rancher.repositories.core.url http://{HOST}:{port}/{branch.name}"
    yield from _used()
    yield f"In a guest of qemu with user networking this machine is 10.0.2.2: http://10.0.2.2:{port}/{branches[0].name}"


def _used() -> Iterator[str]:
    """What is the same wherever the repository is."""
    yield "  ros service list --update"
    yield "  ros service enable kernel-extras"
    yield "  ros service up kernel-extras"


def _as_json(
    root: Path,
    branches: Sequence[Branch],
    changes: Sequence[Change],
    org: str,
    release: ReleaseFolder | None,
    options: ServicesOptions,
) -> dict[str, object]:
    return {
        "folder": str(root),
        "org": org,
        "release": release.v if release else None,
        "branches": [{"name": branch.name, "folder": branch.folder, "os": branch.version.name} for branch in branches],
        "written": not options.dry_run,
        "files": [change.name for change in changes],
        "diff": list(diff(changes)),
    }
