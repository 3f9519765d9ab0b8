"""The settings file `config/rosk.yaml` as frozen models: what a project asks for, checked key by key.

The models are the one place that says which keys there are. The JSON schema and the table of the README are made
from them (`builder.schema`).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StrictBool,
    ValidationError,
    model_validator,
)
from pydantic_core import CoreSchema, ErrorDetails, core_schema

from builder import cachespec
from builder.errors import InputError
from builder.inputs.document import Document, Place, read_document
from builder.inputs.kernelorg import AUTOSIGNER, MIRRORS, VERSION
from builder.stages.lists import problem


class _Problem(ValueError):
    """What is wrong with a value, what to do about it, and (for a section) the key of it that is wrong."""

    def __init__(self, what: str, hint: str, key: str | None = None) -> None:
        super().__init__(what)
        self.hint = hint
        self.key = key


@dataclass(frozen=True)
class _Grammar:
    """Text that matches `pattern` wholly; `what` it is and `how` to write it are for people."""

    pattern: str
    what: str
    how: str

    def check(self, value: str) -> str:
        if not re.fullmatch(self.pattern, value):
            raise _Problem(f"{value!r} is not {self.what}", self.how)
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "pattern": f"^(?:{self.pattern})$"}


# The grammar of image references: https://github.com/distribution/reference/blob/main/regexp.go
_COMPONENT = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]+\])(?::[0-9]{{1,5}})?"
_REPOSITORY = rf"{_COMPONENT}(?:/{_COMPONENT})*"
_IMAGE = rf"(?:{_HOST}/)?{_REPOSITORY}(?::\w[\w.-]{{0,127}})?(?:@sha256:[0-9a-f]{{64}})?"

# A first component with a dot, or `localhost`, would be a registry's host in `ORG/os-kernel`.
_ORG = _Grammar(
    r"(?!localhost$)[a-z0-9]+(?:[_-][a-z0-9]+)*",
    "a name for images (`org/os-kernel`)",
    "use a-z and 0-9, with single - or _ between them",
)
_SUFFIX = _Grammar(
    r"[A-Za-z0-9][A-Za-z0-9._-]{0,40}",
    "a suffix for a kernel release and an image tag",
    "use at most 41 of A-Z, a-z, 0-9, `.`, `_` and `-`, without the leading dash",
)
_REGISTRY_HOST = _Grammar(
    rf"(?=localhost|[^/]*[.:]){_HOST}",
    "a registry's host",
    "write host[:port][/prefix] with no https:// and no password; a host without a dot needs its port",
)
_SHA256 = _Grammar(r"[0-9a-fA-F]{64}", "a SHA-256 checksum", "give its 64 hexadecimal digits, as sha256sum prints them")
_FINGERPRINT = _Grammar(
    r"(?:[0-9A-Fa-f]\s*){40}(?:(?:[0-9A-Fa-f]\s*){24})?",
    "an OpenPGP fingerprint",
    "give all of its 40 (or 64) hexadecimal digits, as `gpg --fingerprint` prints them",
)
_PACKAGE = _Grammar(
    r"[a-z0-9][a-z0-9+.-]*[a-z0-9+.]", "a Debian package name", "use a-z, 0-9, `+`, `.` and `-` (Debian policy 5.6.7)"
)
_AS_OF = _Grammar(r"[A-Za-z0-9._-]*", "a word", "use letters, digits, `.`, `_` and `-`, such as 2026-08-10")
_SUITE = _Grammar(r"[a-z][a-z0-9-]*", "a Debian suite", "give its code name, such as trixie")
_BASE = _Grammar(_IMAGE, "an image reference", "write `auto`, or an image such as registry.example/debian:trixie")
_MIRROR = _Grammar(
    r"https?://[^\s/?#@]+(?:/[^\s?#]*)?",
    "the address of a mirror",
    "write https://host/path, where path holds the folders v5.x, v6.x, …; a password belongs in ~/.netrc",
)
_CACHE = _Grammar(cachespec.PATTERN, cachespec.WHAT, cachespec.HOW)
_CCACHE_SIZE = _Grammar(
    r"0|[0-9]+(?:\.[0-9]+)?[kMGT]i?",
    "a size for ccache",
    "write a number and one of k, M, G and T, such as 10G; 0: no limit",
)
_CCACHE_REMOTE = _Grammar(
    r"(?:redis|http)://[^\s@/|?#]+(?:/[^\s@|?#]*)?",
    "the address of a remote cache for ccache",
    "write redis://host:port or http://host/path; one with a password goes in a file that secret_file names",
)
_PREFIX = _Grammar(rf"(?:{_REPOSITORY})?", "a repository prefix", "write lower-case words with / between them")


def _given(value: object) -> object:
    if value == "":
        raise _Problem("the path is empty", "write a path, relative to the project's folder")
    return value


def _some(values: tuple[str, ...]) -> tuple[str, ...]:
    if not values:
        raise _Problem("the list is empty", "give one at least, or remove the key for the default")
    return values


def _public(entry: str) -> str:
    if cachespec.has_secret(entry):
        raise _Problem("a secret has no place in the settings", cachespec.SECRET_HOW)
    return entry


def _without_password(address: object) -> object:
    if isinstance(address, str) and "@" in address:  # not repeated in the message: it may be a password
        raise _Problem("the address has a user or a password", "write it in a file, and name that with secret_file")
    return address


def _module_glob(glob: str) -> str:
    if wrong := problem(glob):
        raise _Problem(*wrong)
    return glob


def _joined(fingerprint: str) -> str:
    return "".join(fingerprint.split()).upper()


_Text = Annotated[str, Field(min_length=1)]
_Path = Annotated[Path, BeforeValidator(_given)]
_Cache = Annotated[str, _CACHE, AfterValidator(_public)]
_Packages = tuple[Annotated[str, _PACKAGE], ...]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    def _fit(self, source: str, needs: str | None, optional: tuple[str, ...], keys: tuple[str, ...]) -> None:
        """Check the keys that belong to one kind of source: the one it needs, and those it has no use for."""
        if needs is not None and not getattr(self, needs):
            raise _Problem(f"source {source} needs {needs}", f"add the key {needs} to this section", "source")
        for key in keys:
            if key != needs and key not in optional and getattr(self, key):
                raise _Problem(f"{key} has no meaning with source {source}", "remove it, or change the source", key)


class Kernel(_Section):
    """Where the kernel's source comes from."""

    source: Literal["debian", "kernel.org", "tarball", "tree"] = Field(
        default="debian",
        description="`debian`: the package linux-source-VERSION of the toolchain's suite, verified by apt; "
        "`kernel.org`: a release; `tarball`, `tree`: an archive or a folder on this machine",
    )
    version: _Text | None = Field(
        default=None,
        description="With `debian` the series of the package (`6.12`), with `kernel.org` the release (`6.12.64`)",
    )
    sha256: Annotated[str, _SHA256, AfterValidator(str.lower)] | None = Field(
        default=None,
        description="Checksum of the tarball; without it, kernel.org's comes from rosk's table or from the "
        "signed sha256sums.asc",
    )
    path: _Path | None = Field(default=None, description="The tarball or the tree, relative to the project's folder")
    mirrors: Annotated[tuple[Annotated[str, _MIRROR], ...], AfterValidator(_some)] = Field(
        default=MIRRORS, description="Mirrors of kernel.org's pub/linux/kernel, tried in this order"
    )
    signing_keys: Annotated[
        tuple[Annotated[str, _FINGERPRINT, AfterValidator(_joined)], ...], AfterValidator(_some)
    ] = Field(default=(AUTOSIGNER,), description="Fingerprints of the keys that may sign sha256sums.asc")
    keyring: _Path | None = Field(
        default=None, description="File with these public keys; without it, kernel.org's web key directory is asked"
    )

    @model_validator(mode="after")
    def _fits_source(self) -> Self:
        needs = "version" if self.source in ("debian", "kernel.org") else "path"
        optional = ("sha256",) if self.source in ("kernel.org", "tarball") else ()
        self._fit(self.source, needs, optional, ("version", "path", "sha256"))
        if self.source == "debian" and not re.fullmatch(r"[1-9]\d*\.\d+", self.version or ""):
            how = "give the two numbers in the package's name: 6.12 for linux-source-6.12"
            raise _Problem(f"{self.version!r} is not the series of a linux-source package", how, "version")
        if self.source == "kernel.org" and not VERSION.fullmatch(self.version or ""):
            how = "give a release such as 6.12.64; a release candidate can be built with source tarball or tree"
            raise _Problem(f"{self.version!r} is not a kernel.org release", how, "version")
        return self


class Toolchain(_Section):
    """What compiles the kernel."""

    suite: Annotated[str, _SUITE] = Field(default="trixie", description="Debian suite whose compiler builds the kernel")
    base: Annotated[str, _BASE] = Field(
        default="auto",
        description="Image of that suite to start from; `auto`: a local one, else a pulled one, else one made with "
        "mmdebstrap",
    )
    packages: _Packages = Field(default=(), description="Further Debian packages to install beside the compiler")
    as_of: Annotated[str, _AS_OF] = Field(
        default="",
        description="A date or another word; change it to take Debian's packages (toolchain, source, firmware) anew",
    )


class Config(_Section):
    """How the kernel is configured, beside `config/ARCH/kernel-config`."""

    fragments: tuple[_Path, ...] = Field(
        default=(),
        description="Config fragments, relative to the project's folder, merged in this order (the last one wins)",
    )
    strict: StrictBool = Field(default=False, description="An option of a full config that was dropped is an error too")


class ListRule(_Section):
    """Where `rosk lists fix` writes modules that no list names."""

    glob: Annotated[str, AfterValidator(_module_glob)] = Field(
        description="The modules, in the form of a line of the lists: `kernel/drivers/net/**`"
    )
    to: Literal["core", "extra", "error"] = Field(
        description="`core`: modules.list, `extra`: modules-extra.list, `error`: neither, you decide"
    )


class Lists(_Section):
    """What happens to modules that the lists say nothing of."""

    unlisted: Literal["error", "extra"] = Field(
        default="error",
        description="A built module in no list: `error` stops the build, `extra` puts it in the extras package",
    )
    softdeps: Literal["report", "pull"] = Field(
        default="report",
        description="A soft dependency left in extras: `report` it, or `pull` it into the kernel package",
    )
    rules: tuple[ListRule, ...] = Field(
        default=(),
        description="Where `rosk lists fix` writes a module that no list names: each `glob` and `to` (`core`, `extra` "
        "or `error`); the first that matches decides. When none does: `core` for what a machine may need to boot, else "
        "`extra`",
    )


class Firmware(_Section):
    """Where the listed firmware comes from."""

    source: Literal["debian", "tarball", "folder", "none"] = Field(
        default="none",
        description="`debian`: Debian's firmware-* packages; `tarball`, `folder`: a linux-firmware release or "
        "clone on this machine; `none`",
    )
    packages: _Packages = Field(default=(), description="With `debian`: the packages to take firmware from")
    path: _Path | None = Field(default=None, description="The tarball or the folder, relative to the project's folder")
    strict: StrictBool = Field(
        default=False, description="A listed file that the source lacks is an error, not a warning"
    )

    @model_validator(mode="after")
    def _fits_source(self) -> Self:
        needs = {"debian": "packages", "tarball": "path", "folder": "path", "none": None}[self.source]
        self._fit(self.source, needs, (), ("packages", "path"))
        return self


class CompilerCache(_Section):
    """The compiler's own cache (ccache), which the compile works with."""

    size: Annotated[str, _CCACHE_SIZE] = Field(
        default="10G", description="How large it may grow, as ccache's max_size (`0`: without limit)"
    )
    remote: Annotated[str, _CCACHE_REMOTE, BeforeValidator(_without_password)] | None = Field(
        default=None,
        description="One that machines share: `redis://host:port` or `http://host/path`, no password in it",
    )
    secret_file: _Path | None = Field(
        default=None, description="Instead of `remote`: a file that holds the whole address, with its password"
    )

    @model_validator(mode="after")
    def _one_remote(self) -> Self:
        if self.remote and self.secret_file:
            raise _Problem("remote and secret_file are two addresses", "remove one of them", "secret_file")
        return self


class Cache(_Section):
    """What machines share of their caches, and how large they grow."""

    sources: tuple[_Cache, ...] = Field(
        default=(),
        alias="from",
        description="Where finished stages are taken from: `registry.example/acme/cache:6.12`, a folder (`/path`, "
        "`./path`) or BuildKit's `type=…,key=value`",
    )
    targets: tuple[_Cache, ...] = Field(
        default=(), alias="to", description="Where a build puts its finished stages, in the same forms"
    )
    compiler: CompilerCache = Field(default_factory=CompilerCache, description="The compiler's own cache")


class Packages(_Section):
    """How the packages of `dist/kernel` are made."""

    compression: Literal["gzip", "zstd", "xz"] = Field(
        default="gzip",
        description="`gzip`: what every consumer reads; `zstd` or `xz` for your own (the images carry gzip either way)",
    )


class Registry(_Section):
    """A registry to push to; in the settings also as one text, `host[:port][/prefix]`."""

    host: Annotated[str, _REGISTRY_HOST] = Field(description="`host[:port]`")
    prefix: Annotated[str, _PREFIX] = Field(default="", description="What stands before the org in its repositories")

    def __str__(self) -> str:
        return f"{self.host}/{self.prefix}" if self.prefix else self.host

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        if "://" in value or "@" in value:
            raise _Problem(f"{value!r} is not {_REGISTRY_HOST.what}", _REGISTRY_HOST.how)
        host, slash, prefix = value.partition("/")
        if slash and not prefix:
            raise _Problem(f"{value!r} ends in a slash", _REGISTRY_HOST.how)
        return {"host": host, "prefix": prefix}

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        mapping = handler.resolve_ref_schema(handler(schema))
        text = {"type": "string", "pattern": f"^{_REGISTRY_HOST.pattern}(?:/{_REPOSITORY})?$"}
        return {"anyOf": [text, mapping], "description": "`host[:port][/prefix]`, or the same as a mapping"}


class Settings(_Section):
    """Settings of a rosk project: `config/rosk.yaml`."""

    org: Annotated[str, _ORG] = Field(description="First part of the images' names, and the default suffix")
    suffix: Annotated[str, _SUFFIX] | None = Field(
        default=None, description="What follows the kernel's version and a dash in `uname -r`; the org when not given"
    )
    kernel: Kernel = Field(description="Where the kernel's source comes from")
    toolchain: Toolchain = Field(default_factory=Toolchain, description="What compiles the kernel")
    config: Config = Field(default_factory=Config, description="How the kernel is configured")
    lists: Lists = Field(default_factory=Lists, description="What happens to modules beside the lists")
    firmware: Firmware = Field(default_factory=Firmware, description="Where the listed firmware comes from")
    cache: Cache = Field(default_factory=Cache, description="What machines share of their caches")
    packages: Packages = Field(default_factory=Packages, description="How the packages are made")
    registries: tuple[Registry, ...] = Field(
        default=(), description="Where `--push` pushes to: `host[:port][/prefix]`, or a mapping of `host` and `prefix`"
    )

    @model_validator(mode="after")
    def _has_suffix(self) -> Self:
        if self.suffix is None and not re.fullmatch(_SUFFIX.pattern, self.org):
            raise _Problem("the org is too long for a kernel release", "add a shorter `suffix`", "org")
        return self

    @property
    def localversion(self) -> str:
        """`CONFIG_LOCALVERSION`, with its dash."""
        return f"-{self.suffix or self.org}"


def load_settings(path: Path) -> Settings:
    """Read and check a settings file.

    Raises:
        InputError: The file is missing or wrong. The error is the first mistake, with its line; all others are
            in its details, with theirs.
    """
    document = read_document(path)
    try:
        return Settings.model_validate(document.data)
    except ValidationError as error:
        problems = sorted(_problems(error, document))
    line, what, hint = problems[0]
    others = [f"line {line}: {what} ({hint})" for line, what, hint in problems[1:]]
    raise InputError(what, where=path, line=line, hint=hint, details=others)


def _problems(error: ValidationError, document: Document) -> Iterator[tuple[int, str, str]]:
    """Line, what and hint of each mistake."""
    for found in error.errors():
        place = found["loc"]
        problem = found.get("ctx", {}).get("error")
        if isinstance(problem, _Problem):
            place = place if problem.key is None else (*place, problem.key)
            yield document.line(place), f"{_dotted(place)}: {problem}", problem.hint
        else:
            yield document.line(place), *_explain(found, place)


_TYPES = {
    "string_type": "text",
    "path_type": "a path",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "model_type": "a mapping (further keys, indented)",
}


def _explain(found: ErrorDetails, place: Place) -> tuple[str, str]:
    """What is wrong and what to do, for one of pydantic's own errors."""
    kind, value, dotted = found["type"], found["input"], _dotted(place)
    match kind:
        case "extra_forbidden":
            return f"unknown key {dotted}", _did_you_mean(place)
        case "missing":
            return f"{dotted} is missing", "add it; the table of settings in the README says what it means"
        case "literal_error":
            return f"{dotted}: {value!r} is none of the values it can have", f"write {found['ctx']['expected']}"
        case "string_too_short":
            return f"{dotted} is empty", "give it a value, or remove it for the default"
        case _ if kind in _TYPES:
            shown = "a list" if isinstance(value, list) else "a mapping" if isinstance(value, dict) else repr(value)
            return f"{dotted} must be {_TYPES[kind]}, not {shown}", "the table of settings in the README has each type"
    return f"{dotted}: {found['msg']}", "the table of settings in the README says what it means"


def _did_you_mean(place: Place) -> str:
    section, key = tuple(part for part in place[:-1] if isinstance(part, str)), str(place[-1])
    known = list(_keys())
    siblings = [keys[-1] for keys in known if keys[:-1] == section]
    for close in difflib.get_close_matches(key, siblings, n=1):
        return f"did you mean {_dotted((*section, close))}?"
    for keys in known:
        if keys[-1] == key:
            return f"did you mean {_dotted(keys)}?"
    return f"the keys here are {', '.join(siblings)}"


_ENTRIES: dict[str, type[BaseModel]] = {"registries": Registry, "rules": ListRule}
"""What the entries of a list are, where they have keys of their own."""


def _keys(section: type[BaseModel] = Settings, prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every key that a settings file can have, as the keys that lead to it."""
    for attribute, field in section.model_fields.items():
        name = field.alias or attribute
        yield (*prefix, name)
        inner = _ENTRIES.get(name, field.annotation)
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _keys(inner, (*prefix, name))


def _dotted(place: Place) -> str:
    """`kernel.mirrors[0]`, counted from 1 for people: `kernel.mirrors[1]`."""
    words = "".join(f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in place)
    return words.removeprefix(".") or "the file"
