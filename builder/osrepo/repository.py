"""A services repository as a folder: where each branch of it is, and what is to be written there.

Two forms: a clone of a git repository of services, whose top is the branch that is checked out; and a folder for any
web server, which holds a folder per branch. In both an OS finds `BASE/BRANCH/index.yml`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from builder.errors import InputError
from builder.importing.gitrefs import branch_at_head
from builder.osrepo.changes import Change, read_plain
from builder.osrepo.services import INDEX, SERVICES, image_of, merged_index, new_index, service_file
from builder.osrepo.versions import MASTER, OsVersion, is_branch, parse_version


@dataclass(frozen=True, kw_only=True)
class Branch:
    """A branch of the repository.

    Attributes:
        name: What stands in the URL.
        folder: Its folder below the repository's, `""` for the top.
        version: The OS that it is for.
    """

    name: str
    folder: str
    version: OsVersion

    def path(self, file: str) -> str:
        return f"{self.folder}/{file}" if self.folder else file


def is_clone(root: Path) -> bool:
    """Whether a folder has the branch that is checked out at its top."""
    return (root / INDEX).is_file() or ((root / ".git").exists() and not (root / MASTER / INDEX).is_file())


def find_branches(root: Path, wanted: Sequence[str]) -> list[Branch]:
    """The branches that the versions of an OS ask for, in a clone the one that is checked out.

    Args:
        wanted: The versions; when there are none, `master`, and in a clone what the branch says.

    Raises:
        InputError: One is no version; or it is not the branch of this clone.
    """
    versions = [parse_version(text) for text in wanted]
    if is_clone(root):
        return [_checked_out(root, versions)]
    versions = versions or [parse_version(MASTER)]
    if all(version.name != MASTER for version in versions):
        versions.insert(0, parse_version(MASTER))
    found = {name: version for version in versions for name in version.branches}
    return [Branch(name=name, folder=name, version=version) for name, version in found.items()]


def _checked_out(root: Path, versions: Sequence[OsVersion]) -> Branch:
    name = branch_at_head(root)
    if len(versions) > 1:
        raise InputError(
            "this is a clone of a services repository, which has a branch for each version",
            where=root,
            hint="check out the branch of one version, give that one with --os, then the next",
        )
    if not versions:
        if name is None and (root / ".git").exists():
            raise InputError("no branch is checked out here", where=root, hint="say with --os which version it is for")
        return Branch(name=name or MASTER, folder="", version=parse_version(name or MASTER))
    (version,) = versions
    if name is not None and is_branch(name) and name not in (*version.branches, *_MAINS[version.name == MASTER]):
        raise InputError(
            f"the branch {name} is checked out, and {version.name} asks for {' or '.join(version.branches)}",
            where=root,
            hint=f"git -C {root} switch {version.branches[0]} (or switch -c, for a new one)",
        )
    return Branch(name=name or version.branches[0], folder="", version=version)


_MAINS = ((), ("main",))


def plan_services(root: Path, branches: Sequence[Branch], org: str, release: str | None) -> list[Change]:
    """What is to be written, in the order of the branches.

    Args:
        release: V, for an OS that does not set `${KERNEL_VERSION}`.

    Raises:
        InputError: What is there cannot be read, or cannot be added to.
    """
    return [change for branch in branches for change in _plan(root, branch, org, release)]


def _plan(root: Path, branch: Branch, org: str, release: str | None) -> Iterator[Change]:
    name = branch.path(INDEX)
    before = read_plain(root, name)
    after = new_index() if before is None else merged_index(before, str(root / name))
    yield Change(name=name, before=before, after=after)
    for service in SERVICES:
        name = branch.path(service.file)
        before = read_plain(root, name)
        image = image_of(service, org, branch.version, release)
        yield Change(name=name, before=before, after=service_file(service, image, before))
