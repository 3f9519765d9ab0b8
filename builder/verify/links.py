"""Symbolic links among the members of an archive, followed by their names alone."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Container, Iterable, Iterator, Mapping
from tarfile import TarInfo

from builder.verify.unpack import plain

MAX_LINKS = 40
"""Links followed for one path: Linux gives up after as many (path_resolution(7))."""


class Shipped(Container[str]):
    """The names of what ships, and of the folders that this is in: of a deep name there are many, so none is kept."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = set(names)
        self._sorted = sorted(self._names)

    def __contains__(self, name: object) -> bool:
        if name in self._names:
            return True
        at = bisect_left(self._sorted, f"{name}/")
        return at < len(self._sorted) and self._sorted[at].startswith(f"{name}/")


def links_of(members: Iterable[TarInfo]) -> dict[str, str]:
    """The symbolic links: plain name → target as it stands in the archive."""
    return {plain(member.name): member.linkname for member in members if member.issym()}


def follow(path: str, links: Mapping[str, str], folders: Collection[str] | None = None) -> str | None:
    """The path that a path of an archive leads to, from the archive's root; None: out of it, or round in circles.

    Args:
        folders: All folders, where `..` behind something else is to lead nowhere.
    """
    done: list[str] = []
    todo = path.split("/")[::-1]
    used = 0
    while todo:
        part = todo.pop()
        if part == "..":
            if not done or (folders is not None and "/".join(done) not in folders):
                return None
            done.pop()
        elif part not in ("", "."):
            done.append(part)
            target = links.get("/".join(done))
            if target is not None:
                used += 1
                if target.startswith("/") or used > MAX_LINKS:
                    return None
                done.pop()
                todo += target.split("/")[::-1]
    return "/".join(done)


def problem(link: str, links: Mapping[str, str], names: Container[str]) -> str:
    """What is wrong with a link, or an empty string.

    Args:
        link: Its plain name, one of `links`.
        names: All that ships, as plain names.
    """
    target = links[link]
    if target.startswith("/"):
        return f"{link} is an absolute link, to {target}"
    end = follow(link, links)
    if end is None:
        return f"{link} leads out of the package, or nowhere: to {target}"
    if end and end not in names:
        return f"{link} links to {target}, which does not ship"
    return ""


def through(name: str, links: Collection[str]) -> str:
    """The link that a member's name goes through, or an empty string."""
    return next((folder for folder in folders_of(plain(name)) if folder in links), "")


def folders_of(name: str) -> Iterator[str]:
    """The folders that a plain name is in, the nearest first."""
    while name := name.rpartition("/")[0]:
        yield name
