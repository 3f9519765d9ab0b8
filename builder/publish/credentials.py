"""Who to be at a registry: docker's own configuration, and the helpers that it names.

Source: docker/cli, "docker login" (credential store, credential helpers), and docker-credential-helpers, whose programs
take a server's name on standard input. A helper of the host wins over the store, and the store over what the file has.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from builder.errors import InputError, PublishError
from builder.process import run

HELPER_SECONDS = 60.0
_DOCKER_HUB = "https://index.docker.io/v1/"
_HUB_HOSTS = ("docker.io", "index.docker.io", "registry-1.docker.io")
_ABSENT = "credentials not found"
_TOKEN_USER = "<token>"
_HINT = "log in again with docker login"


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """A user and a password, or a token that an identity provider gave (`identitytoken`); neither is ever shown."""

    user: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)

    def __bool__(self) -> bool:
        return bool(self.user or self.identity_token)

    @property
    def basic(self) -> str:
        """The value of a header `Authorization`."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


NOBODY = Credentials()


def config_file() -> Path:
    """Docker's configuration: in `$DOCKER_CONFIG`, else in `~/.docker`."""
    return Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "config.json"


def find_credentials(host: str, file: Path | None = None) -> Credentials:
    """The credentials for `host[:port]`; `NOBODY` when docker has none.

    Raises:
        InputError: The configuration cannot be read.
        PublishError: A helper failed.
    """
    path = file or config_file()
    config = _read(path)
    for key, helper in ((host, _mapping(config, "credHelpers").get(host)), (host, config.get("credsStore"))):
        if isinstance(helper, str) and helper:
            for name in _names(key):
                if found := _ask(helper, name, path):
                    return found
            return NOBODY
    auths = _mapping(config, "auths")
    for key, entry in auths.items():
        if _host_of(key) in {_host_of(name) for name in _names(host)} and isinstance(entry, dict):
            return _entry(entry, key, path)
    return NOBODY


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InputError(f"docker's configuration cannot be read: {error}", where=path, hint=_HINT) from error
    return found if isinstance(found, dict) else {}


def _mapping(config: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = config.get(key)
    return found if isinstance(found, dict) else {}


def _names(host: str) -> tuple[str, ...]:
    """What docker calls a registry."""
    return (_DOCKER_HUB,) if host in _HUB_HOSTS else (host, f"https://{host}")


def _host_of(key: str) -> str:
    """The host of a key of `auths`, which may be an address (`https://registry.example/v1/`)."""
    return re.sub(r"^https?://", "", key).partition("/")[0]


def _entry(entry: Mapping[str, Any], key: str, path: Path) -> Credentials:
    if token := entry.get("identitytoken"):
        return Credentials(identity_token=str(token))
    user, password = str(entry.get("username") or ""), str(entry.get("password") or "")
    if entry.get("auth"):
        try:
            user, colon, password = base64.b64decode(str(entry["auth"]), validate=True).decode().partition(":")
        except ValueError as error:
            raise InputError(f"auths: {key}: auth is no base64 text", where=path, hint=_HINT) from error
        if not colon:
            raise InputError(f"auths: {key}: auth has no user and password", where=path, hint=_HINT)
    return Credentials(user=user, password=password.strip("\0"))


def _ask(helper: str, server: str, path: Path) -> Credentials:
    """What a helper has for a server."""
    if not re.fullmatch(r"[A-Za-z0-9._-]+", helper):
        raise InputError(f"{helper!r} is no credential helper", where=path, hint="name it without docker-credential-")
    program = f"docker-credential-{helper}"
    # A helper of a cloud takes its own keys from the environment: it gets all that the user gave.
    done = run(
        [program, "get"],
        input=server.encode(),
        env=dict(os.environ),
        check=False,
        timeout=HELPER_SECONDS,
        error=PublishError,
        hint=f"it is named in {path}: install it, or log in again",
    )
    if done.returncode != 0:
        if _ABSENT in done.stdout + done.stderr:
            return NOBODY
        raise PublishError(f"{program} failed for {server} with exit code {done.returncode}", hint=_HINT)
    try:
        answer = json.loads(done.stdout)
        user, secret = str(answer["Username"]), str(answer["Secret"])
    except (ValueError, LookupError, TypeError):
        raise PublishError(f"{program} gave no credentials for {server} that can be read", hint=_HINT) from None
    if user == _TOKEN_USER:
        return Credentials(identity_token=secret)
    return Credentials(user=user, password=secret)
