"""One commit of a git repository as an archive, fetched by this machine's git with this machine's credentials."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
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


def commit_archive(name: str, repository: str | Path, commit: str, *, cache: Path) -> Path:
    """The files of a commit as a tar archive `CACHE/sha256/HEX/NAME-COMMIT.tar`, with one folder at its top.

    Args:
        name: The folder's name.
        repository: A folder of this machine, which is only read, or an address, whose objects are kept in the cache.
        commit: Its whole ID.
        cache: The cache's folder; made if it is missing.

    Raises:
        FetchError: git cannot get it.
        NoSpaceError: The cache's disk is full.
    """
    with cache_errors(cache):
        (cache / "git").mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix="rosk-", dir=cache) as folder:
            tar = Path(folder, f"{name}-{commit[:12]}.tar")
            if isinstance(repository, Path):
                if not _has(repository, commit):
                    hint = "see that the path is a git repository with this commit, and that git may read it"
                    raise FetchError(f"there is no commit {commit}", where=repository, hint=hint)
                _archive(repository, commit, name, tar)
            else:
                bare = cache / "git" / hashlib.sha256(repository.encode()).hexdigest()[:16]
                with locked(bare.with_suffix(".lock")):
                    _fetch(bare, repository, commit)
                    _archive(bare, commit, name, tar)
            return local_archive(tar, sha256=None, cache=cache)


def _environment() -> dict[str, str]:
    login = {name: os.environ[name] for name in _LOGIN if name in os.environ}
    return {**login, "GIT_TERMINAL_PROMPT": "0", "GIT_ALLOW_PROTOCOL": ":".join(_PROTOCOLS)}


def _archive(repository: Path, commit: str, name: str, tar: Path) -> None:
    words: list[str | Path] = ["git", "-C", repository, "-c", "tar.umask=0022", "archive", "--format=tar"]
    run([*words, f"--prefix={name}/", "-o", tar, commit], env=_environment(), error=FetchError, timeout=_SECONDS)


def _has(repository: Path, commit: str) -> bool:
    words: list[str | Path] = ["git", "-C", repository, "cat-file", "-e", f"{commit}^{{commit}}"]
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
