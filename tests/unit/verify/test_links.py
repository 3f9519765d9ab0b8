"""Links of an archive are followed by their names alone."""

from __future__ import annotations

import pytest

from builder.verify.links import Shipped, follow, problem, through

LINKS = {
    "lib/firmware/a.bin": "b.bin",
    "lib/firmware/deep/c.bin": "../a.bin",
    "lib/firmware/folder": "deep/inner",
    "lib/firmware/up": "../../..",
    "lib/firmware/absolute": "/etc/motd",
    "lib/firmware/me": "me",
    "lib/firmware/ring": "ring2",
    "lib/firmware/ring2": "./ring",
    "lib/firmware/root": "../..",
    "lib/firmware/none": "none.bin",
}
NAMES = {"lib", "lib/firmware", "lib/firmware/b.bin", "lib/firmware/deep", "lib/firmware/deep/inner/d.bin", *LINKS}


@pytest.mark.parametrize(
    ("path", "end"),
    [
        ("lib/firmware/b.bin", "lib/firmware/b.bin"),
        ("lib/firmware/a.bin", "lib/firmware/b.bin"),
        ("lib/firmware/deep/c.bin", "lib/firmware/b.bin"),
        ("lib/firmware/folder/d.bin", "lib/firmware/deep/inner/d.bin"),
        ("lib/firmware/folder/../c.bin", "lib/firmware/b.bin"),
        ("lib/firmware/root/lib", "lib"),
        ("lib/firmware/up", None),
        ("lib/firmware/absolute", None),
        ("lib/firmware/me", None),
        ("lib/firmware/ring", None),
        ("lib/firmware/ring/x", None),
        ("../x", None),
    ],
)
def test_follow(path: str, end: str | None) -> None:
    assert follow(path, LINKS) == end


def test_what_ships() -> None:
    """With the folders that it is in."""
    shipped = Shipped(["", "a/b/c", "a-b", "a.b/c", "d"])
    for name in ("", "a", "a/b", "a/b/c", "a-b", "a.b", "d"):
        assert name in shipped, name
    for name in ("a/", "a/b/c/d", "a-", "b", "a.b/", "e", "a/b/"):
        assert name not in shipped, name


@pytest.mark.parametrize(
    ("link", "said"),
    [
        ("lib/firmware/a.bin", ""),
        ("lib/firmware/root", ""),
        ("lib/firmware/none", "which does not ship"),
        ("lib/firmware/up", "out of the package"),
        ("lib/firmware/ring", "or nowhere"),
        ("lib/firmware/absolute", "absolute link, to /etc/motd"),
    ],
)
def test_problem(link: str, said: str) -> None:
    found = problem(link, LINKS, NAMES)
    assert said in found
    assert bool(found) == bool(said)


@pytest.mark.parametrize(
    ("name", "link"),
    [
        ("./lib/firmware/folder/d.bin", "lib/firmware/folder"),
        ("lib/firmware/folder/e/f", "lib/firmware/folder"),
        ("./lib/firmware/folder", ""),
        ("./lib/firmware/folder2/x", ""),
    ],
)
def test_through(name: str, link: str) -> None:
    assert through(name, LINKS) == link
