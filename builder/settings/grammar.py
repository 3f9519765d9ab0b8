"""What single values of the settings may look like, and what is said of one that does not."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
)
from pydantic_core import CoreSchema, core_schema

from builder import cachespec
from builder.stages.lists import problem


class Problem(ValueError):
    """What is wrong with a value, what to do about it, and (for a section) the key of it that is wrong."""

    def __init__(self, what: str, hint: str, key: str | None = None) -> None:
        super().__init__(what)
        self.hint = hint
        self.key = key


@dataclass(frozen=True)
class Grammar:
    """Text that matches `pattern` wholly; `what` it is and `how` to write it are for people."""

    pattern: str
    what: str
    how: str

    def check(self, value: str) -> str:
        if not re.fullmatch(self.pattern, value):
            raise Problem(f"{value!r} is not {self.what}", self.how)
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "pattern": f"^(?:{self.pattern})$"}


# The grammar of image references: https://github.com/distribution/reference/blob/main/regexp.go
COMPONENT = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
HOST = rf"(?:{LABEL}(?:\.{LABEL})*|\[[0-9a-fA-F:]+\])(?::[0-9]{{1,5}})?"
REPOSITORY = rf"{COMPONENT}(?:/{COMPONENT})*"
IMAGE = rf"(?:{HOST}/)?{REPOSITORY}(?::\w[\w.-]{{0,127}})?(?:@sha256:[0-9a-f]{{64}})?"

# A first component with a dot, or `localhost`, would be a registry's host in `ORG/os-kernel`.
ORG = Grammar(
    r"(?!localhost$)[a-z0-9]+(?:[_-][a-z0-9]+)*",
    "a name for images (`org/os-kernel`)",
    "use a-z and 0-9, with single - or _ between them",
)
SUFFIX = Grammar(
    r"[A-Za-z0-9][A-Za-z0-9._-]{0,40}",
    "a suffix for a kernel release and an image tag",
    "use at most 41 of A-Z, a-z, 0-9, `.`, `_` and `-`, without the leading dash",
)
REGISTRY_HOST = Grammar(
    rf"(?=localhost|[^/]*[.:]){HOST}",
    "a registry's host",
    "write host[:port][/prefix] with no https:// and no password; a host without a dot needs its port",
)
SHA256 = Grammar(r"[0-9a-fA-F]{64}", "a SHA-256 checksum", "give its 64 hexadecimal digits, as sha256sum prints them")
FINGERPRINT = Grammar(
    r"(?:[0-9A-Fa-f]\s*){40}(?:(?:[0-9A-Fa-f]\s*){24})?",
    "an OpenPGP fingerprint",
    "give all of its 40 (or 64) hexadecimal digits, as `gpg --fingerprint` prints them",
)
PACKAGE = Grammar(
    r"[a-z0-9][a-z0-9+.-]*[a-z0-9+.]", "a Debian package name", "use a-z, 0-9, `+`, `.` and `-` (Debian policy 5.6.7)"
)
AS_OF = Grammar(r"[A-Za-z0-9._-]*", "a word", "use letters, digits, `.`, `_` and `-`, such as 2026-08-10")
SUITE = Grammar(r"[a-z][a-z0-9-]*", "a Debian suite", "give its code name, such as trixie, or `auto`")
FLAVOUR = Grammar(
    r"(?=.{1,20}$)[a-z0-9]+(?:-[a-z0-9]+)*",
    "a name for a flavour",
    "use at most 20 of a-z and 0-9, with single - between them",
)
BASE = Grammar(IMAGE, "an image reference", "write `auto`, or an image such as registry.example/debian:trixie")
MIRROR = Grammar(
    r"https?://[^\s/?#@]+(?:/[^\s?#]*)?",
    "the address of a mirror",
    "write https://host/path, where path holds the folders v5.x, v6.x, …; a password belongs in ~/.netrc",
)
CACHE = Grammar(cachespec.PATTERN, cachespec.WHAT, cachespec.HOW)
CCACHE_SIZE = Grammar(
    r"0|[0-9]+(?:\.[0-9]+)?[kMGT]i?",
    "a size for ccache",
    "write a number and one of k, M, G and T, such as 10G; 0: no limit",
)
CCACHE_REMOTE = Grammar(
    r"(?:redis|http)://[^\s@/|?#]+(?:/[^\s@|?#]*)?",
    "the address of a remote cache for ccache",
    "write redis://host:port or http://host/path; one with a password goes in a file that secret_file names",
)
MOVING_TAG = Grammar(
    r"(?:\{(?:series|version|suffix)\}|[A-Za-z0-9_])(?:\{(?:series|version|suffix)\}|[A-Za-z0-9_.-]){0,100}",
    "a tag",
    "write a tag such as latest; {series} stands for 6.12, {version} for 6.12.64, {suffix} for what follows that in V",
)
PUBLISH_URL = Grammar(
    r"https?://[^\s/?#@]+(?:/[^\s?#]*)?",
    "the address of a folder on a server",
    "write https://host/path, with no user, password or query in it",
)
VARIABLE = Grammar(
    r"[A-Z_][A-Z0-9_]*",
    "the name of an environment variable",
    "give its name, such as GITHUB_TOKEN, not its value",
)
GITHUB = Grammar(r"[A-Za-z0-9-]+/[A-Za-z0-9._-]+", "a repository of GitHub", "write owner/name")
PREFIX = Grammar(rf"(?:{REPOSITORY})?", "a repository prefix", "write lower-case words with / between them")


def given(value: object) -> object:
    if value == "":
        raise Problem("the path is empty", "write a path, relative to the project's folder")
    return value


def at_least_one(values: tuple[str, ...]) -> tuple[str, ...]:
    if not values:
        raise Problem("the list is empty", "give one at least, or remove the key for the default")
    return values


def no_twins(values: tuple[str, ...]) -> tuple[str, ...]:
    if twins := sorted(value for value in set(values) if values.count(value) > 1):
        raise Problem(f"{twins[0]} is there twice", "name each once")
    return values


def public(entry: str) -> str:
    if cachespec.has_secret(entry):
        raise Problem("a secret has no place in the settings", cachespec.SECRET_HOW)
    return entry


def without_password(address: object) -> object:
    if isinstance(address, str) and "@" in address:  # not repeated in the message: it may be a password
        raise Problem("the address has a user or a password", "write it in a file, and name that with secret_file")
    return address


def module_glob(glob: str) -> str:
    if wrong := problem(glob):
        raise Problem(*wrong)
    return glob


def joined(fingerprint: str) -> str:
    return "".join(fingerprint.split()).upper()


Text = Annotated[str, Field(min_length=1)]
FilePath = Annotated[Path, BeforeValidator(given)]
CacheEntry = Annotated[str, CACHE, AfterValidator(public)]
DebianPackages = tuple[Annotated[str, PACKAGE], ...]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    def _fit(self, source: str, needs: str | None, optional: tuple[str, ...], keys: tuple[str, ...]) -> None:
        """Check the keys that belong to one kind of source: the one it needs, and those it has no use for."""
        if needs is not None and not getattr(self, needs):
            raise Problem(f"source {source} needs {needs}", f"add the key {needs} to this section", "source")
        for key in keys:
            if key != needs and key not in optional and getattr(self, key):
                raise Problem(f"{key} has no meaning with source {source}", "remove it, or change the source", key)
