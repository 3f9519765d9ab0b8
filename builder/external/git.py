"""One commit of a git repository as an archive, fetched by this machine's git with this machine's credentials.

Its submodules come along, each at the commit that this one names (gitmodules(5)). Where they are from is the
repository's own word, so that it is no more than an address, or what a repository of this machine has of them itself.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from builder.errors import FetchError
from builder.files import locked
from builder.inputs.local import local_archive
from builder.inputs.store import cache_errors
from builder.process import run

# What may move the objects; `ext::` for example, which runs a command, may not (git-config(1), protocol.allow).
_PROTOCOLS = ("https", "http", "ssh", "git")
# By what git logs in and finds its configuration, beside HOME.
_LOGIN = ("SSH_AUTH_SOCK", "GIT_SSH", "GIT_SSH_COMMAND", "XDG_CONFIG_HOME")
_SECONDS = 1800.0
_MOST = 100
"""Repositories that one module is made of."""
_ADDRESS = re.compile(r"(?:(?:https?|ssh|git)://|[\w.]+@[A-Za-z0-9][\w.-]*:)[^\s'\"\\$`]+")
"""Where a submodule may be from: an address of `_PROTOCOLS`, or ssh's short form."""
_BLOCK = 512
_OUT = "`submodules: false` of the module leaves its submodules out"


@dataclass(frozen=True, kw_only=True)
class Repository:
    """A commit of a repository, and where its files go.

    Attributes:
        where: A folder of this machine, which is only read, or an address, whose objects are kept in the cache.
        commit: Its whole ID.
        place: The folder in the archive.
    """

    where: Path | str
    commit: str
    place: str


def commit_archive(name: str, repository: str | Path, commit: str, *, cache: Path, submodules: bool = True) -> Path:
    """The files of a commit as a tar archive `CACHE/sha256/HEX/NAME-COMMIT.tar`, with one folder at its top.

    Args:
        name: The folder's name.
        repository: A folder of this machine, or an address.
        commit: Its whole ID.
        cache: The cache's folder; made if it is missing.
        submodules: Those of the repository come along, and theirs.

    Raises:
        FetchError: git cannot get it.
        NoSpaceError: The cache's disk is full.
    """
    with cache_errors(cache):
        (cache / "git").mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix="rosk-", dir=cache) as folder:
            tar, part = Path(folder, f"{name}-{commit[:12]}.tar"), Path(folder, "part")
            left = [Repository(where=repository, commit=commit, place=name)]
            done = 0
            while left:
                if done == _MOST:
                    raise FetchError(f"it has more than {_MOST} submodules", where=str(repository), hint=_OUT)
                now = left.pop(0)
                try:
                    with _objects(now, cache) as objects:
                        _archive(objects, now, part)
                        left += _submodules(objects, now) if submodules else ()
                except FetchError as error:
                    error.hint += f"; {_OUT}" if done and _OUT not in error.hint else ""
                    raise
                _append(tar, part)
                done += 1
            return local_archive(tar, sha256=None, cache=cache)


@contextmanager
def _objects(wanted: Repository, cache: Path) -> Iterator[Path]:
    """A repository of this machine that has the commit."""
    if isinstance(wanted.where, Path):
        if not _has(wanted.where, wanted.commit):
            hint = "see that the path is a git repository with this commit, and that git may read it"
            raise FetchError(f"there is no commit {wanted.commit}", where=wanted.where, hint=hint)
        yield wanted.where
        return
    bare = cache / "git" / hashlib.sha256(wanted.where.encode()).hexdigest()[:16]
    with locked(bare.with_suffix(".lock")):
        _fetch(bare, wanted.where, wanted.commit)
        yield bare


def _submodules(objects: Path, parent: Repository) -> list[Repository]:
    """The submodules of a commit.

    Raises:
        FetchError: It does not say where one is from, or that is no address.
    """
    listed = _git(objects, "ls-tree", "-r", "-z", "--full-name", parent.commit).split("\0")
    pinned = {
        path: about.split()[2] for about, _, path in (row.partition("\t") for row in listed if row[:6] == "160000")
    }
    if not pinned:
        return []
    said = _gitmodules(objects, parent.commit)
    # Of a folder in a repository: its archive has that folder alone.
    below = _git(objects, "rev-parse", "--show-prefix").rstrip("\n")
    return [_submodule(parent, path, commit, said.get(path), below) for path, commit in pinned.items()]


def _gitmodules(objects: Path, commit: str) -> dict[str, tuple[str, str]]:
    """Path of a submodule to its name and address, as a commit's .gitmodules has them."""
    words = ("config", "--no-includes", f"--blob={commit}:.gitmodules", "-z", "--list")
    found: dict[str, dict[str, str]] = {}
    for row in _git(objects, *words, check=False).split("\0"):
        key, _, value = row.partition("\n")
        if match := re.fullmatch(r"submodule\.(.+)\.(path|url)", key, re.DOTALL):
            found.setdefault(match[1], {})[match[2]] = value
    return {each["path"]: (name, each.get("url", "")) for name, each in found.items() if "path" in each}


def _submodule(parent: Repository, path: str, commit: str, said: tuple[str, str] | None, below: str) -> Repository:
    where = str(parent.where)
    if said is None:
        what = f"the commit {parent.commit[:12]} does not say where its submodule {path} is from"
        raise FetchError(what, where=where, hint=f"its .gitmodules lacks it; {_OUT}")
    name, url = said
    if not {"..", "", "."}.isdisjoint((*path.split("/"), *name.split("/"))):
        raise FetchError(f"the submodule {path} leads out of its repository", where=where, hint=_OUT)
    place = str(PurePosixPath(parent.place, path.removeprefix(below)))
    base: str | None = where
    if isinstance(parent.where, Path):
        own = Path(_git(parent.where, "rev-parse", "--absolute-git-dir").strip(), "modules", name)
        if own.is_dir() and _has(own, commit):
            return Repository(where=own, commit=commit, place=place)
        base = _git(parent.where, "config", "--get", "remote.origin.url", check=False).strip() or None
    if url.startswith(("./", "../")):
        url = _joined(base, url) if base else url
    if not _ADDRESS.fullmatch(url):
        hint = f"`git submodule update --init --recursive` there brings it; {_OUT}"
        raise FetchError(
            f"the submodule {path} is from {url or 'nowhere'}, which is no address of a server",
            where=where,
            hint=hint if isinstance(parent.where, Path) else _OUT,
        )
    return Repository(where=url, commit=commit, place=place)


def _joined(base: str, url: str) -> str:
    """An address that is relative to another one, as git takes it (git-submodule(1), under `add`)."""
    base = base.rstrip("/")
    while url.startswith(("./", "../")):
        if url.startswith("../"):
            base = re.sub(r"[/:][^/:]*$", "", base)
        url = url.partition("/")[2]
    return f"{base}/{url}"


def _at(repository: Path) -> list[str | Path]:
    """git in a repository; git's own folder of a submodule may name a work tree that is not there."""
    inside = (repository / "HEAD").is_file() and (repository / "objects").is_dir()
    return ["git", "-C", repository, *(["--work-tree=."] if inside else [])]


def _git(repository: Path, *words: str, check: bool = True) -> str:
    argv = [*_at(repository), *words]
    done = run(argv, env=_environment(), error=FetchError, check=check, timeout=_SECONDS)
    return done.stdout if done.returncode == 0 else ""


def _append(tar: Path, part: Path) -> None:
    """Append what is in an archive to another one, and remove it; the bytes of both stay what git wrote."""
    if not tar.exists():
        part.rename(tar)
        return
    with tarfile.open(tar) as read:
        last = read.getmembers()[-1]
    with tar.open("r+b") as out, part.open("rb") as more:
        out.seek(last.offset_data + -(-last.size // _BLOCK) * _BLOCK)
        out.truncate()
        shutil.copyfileobj(more, out)
    part.unlink()


def _environment() -> dict[str, str]:
    login = {name: os.environ[name] for name in _LOGIN if name in os.environ}
    return {**login, "GIT_TERMINAL_PROMPT": "0", "GIT_ALLOW_PROTOCOL": ":".join(_PROTOCOLS)}


def _archive(objects: Path, wanted: Repository, tar: Path) -> None:
    words = ("-c", "tar.umask=0022", "archive", "--format=tar", f"--prefix={wanted.place}/")
    _git(objects, *words, "-o", str(tar), wanted.commit)


def _has(repository: Path, commit: str) -> bool:
    words = [*_at(repository), "cat-file", "-e", f"{commit}^{{commit}}"]
    return run(words, env=_environment(), check=False).returncode == 0


def _fetch(bare: Path, url: str, commit: str) -> None:
    """Get a commit: alone where the server gives one by its ID, else with all branches and tags."""
    if not bare.exists():
        run(["git", "init", "--quiet", "--bare", bare], env=_environment(), error=FetchError)
    if _has(bare, commit):
        return
    git: list[str | Path] = ["git", "-C", bare, "fetch", "--quiet", "--no-write-fetch-head"]
    alone = run([*git, "--no-tags", "--depth=1", "--", url, commit], env=_environment(), check=False, timeout=_SECONDS)
    if alone.returncode != 0:
        hint = "see that the address is right, that this machine reaches it, and that git has what it needs to log in"
        refs = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
        run([*git, "--", url, *refs], env=_environment(), error=FetchError, hint=hint, timeout=_SECONDS)
    if not _has(bare, commit):
        raise FetchError(f"there is no commit {commit}", where=url, hint="see that it is in a branch or a tag there")
