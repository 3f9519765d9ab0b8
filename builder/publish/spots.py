"""The places that a publication goes to: those of the settings, or those of the command line."""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from builder.errors import InputError
from builder.publish.http import is_loopback
from builder.settings import GithubTarget, HttpTarget, Registry, Settings
from builder.settings.registry import as_known

_HOW = "write oci:FOLDER, folder:FOLDER, https://HOST/PATH, github:OWNER/NAME, or a registry as HOST[:PORT][/PREFIX]"

DOCKER_CERTS = Path("/etc/docker/certs.d")


@dataclass(frozen=True, kw_only=True)
class Spots:
    """Where to publish.

    Attributes:
        root: The project's folder, which paths of the settings start from.
        registries, layouts: Take images and artifacts.
        folders, http, github: Take files.
    """

    root: Path = Path()
    registries: tuple[Registry, ...] = ()
    layouts: tuple[Path, ...] = ()
    folders: tuple[Path, ...] = ()
    http: tuple[HttpTarget, ...] = ()
    github: tuple[GithubTarget, ...] = ()

    @property
    def wants_images(self) -> bool:
        """Whether one of them takes images."""
        return bool(self.registries or self.layouts)

    def __bool__(self) -> bool:
        return bool(self.wants_images or self.folders or self.http or self.github)

    def file(self, path: Path | None) -> Path | None:
        """A file that the settings name."""
        return None if path is None else self.root / path

    def ca(self, registry: Registry) -> Path | None:
        """The CA of a registry: the settings', else the one that docker has for it (docker's `certs.d`)."""
        own = DOCKER_CERTS / registry.host / "ca.crt"
        return self.file(registry.ca) or (own if own.is_file() else None)

    def variable(self, name: str) -> str:
        """The value of an environment variable that the settings name; it is never shown.

        Raises:
            InputError: It is not set, or cannot be sent.
        """
        value = os.environ.get(name, "").strip()
        if not value or not value.isprintable():
            raise InputError(f"the environment variable {name} holds no token", hint=f"set {name} and run it again")
        return value

    def authorization(self, target: HttpTarget) -> str:
        """The value of the header `Authorization` for a server."""
        if target.token_env:
            return f"Bearer {self.variable(target.token_env)}"
        if target.password_env:
            pair = f"{target.user}:{self.variable(target.password_env)}".encode()
            return f"Basic {base64.b64encode(pair).decode()}"
        return ""


def of_settings(settings: Settings, root: Path) -> Spots:
    """The places that the settings name.

    Raises:
        InputError: One of them would be spoken to in the clear.
    """
    named = settings.publish
    spots = Spots(
        root=root,
        registries=settings.registries,
        folders=tuple(root / folder for folder in named.folders),
        http=named.http,
        github=named.github,
    )
    _check(spots)
    return spots


def of_words(words: Sequence[str], settings: Settings | None, root: Path) -> Spots:
    """The places that a command line names; how to talk to them the settings may say.

    Raises:
        InputError: One of them is none.
    """
    registries, layouts, folders = list[Registry](), list[Path](), list[Path]()
    http, github = list[HttpTarget](), list[GithubTarget]()
    for word in words:
        kind, _, rest = word.partition(":")
        try:
            if kind in ("oci", "folder"):
                if not rest:
                    raise InputError(f"{word!r} names no folder", hint=_HOW)
                (layouts if kind == "oci" else folders).append(Path(rest))
            elif kind in ("https", "http"):
                known = settings.publish.http if settings else ()
                url = word.rstrip("/")
                http.append(next((each for each in known if each.url.rstrip("/") == url), HttpTarget(url=url)))
            elif kind == "github":
                known_github = settings.publish.github if settings else ()
                named = GithubTarget(repository=rest)
                github.append(next((each for each in known_github if each.repository == rest), named))
            else:
                registries.append(registry(word, settings))
        except ValidationError as error:
            raise InputError(f"{word!r} is no place to publish to", hint=_HOW) from error
    spots = Spots(
        root=root,
        registries=tuple(registries),
        layouts=tuple(layouts),
        folders=tuple(folders),
        http=tuple(http),
        github=tuple(github),
    )
    _check(spots)
    return spots


def registry(text: str, settings: Settings | None) -> Registry:
    """A registry of the command line; how to talk to its host the settings may say.

    Raises:
        pydantic.ValidationError: It is none.
    """
    return as_known(Registry.model_validate(text), settings.registries if settings else ())


def _check(spots: Spots) -> None:
    """No file goes in the clear unless that was said."""
    for target in spots.http:
        host = target.url.partition("://")[2].partition("/")[0]
        if target.url.startswith("http://") and not (target.plain_http or is_loopback(host)):
            raise InputError(
                f"{target.url} is not spoken to by TLS", hint="write https://, or plain_http: true in the settings"
            )
    for github in spots.github:
        host = github.api.partition("://")[2].partition("/")[0]
        if github.api.startswith("http://") and not is_loopback(host):
            raise InputError(f"{github.api} is not spoken to by TLS", hint="write https://: a token goes there")
