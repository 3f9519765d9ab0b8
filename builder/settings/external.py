"""Settings of external modules: what is built against the kernel's headers, from sources of its own."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StrictBool, model_validator

from builder.settings.grammar import SHA256, FilePath, Grammar, Problem, Section

MODULE_NAME = Grammar(
    r"[a-z0-9]+(?:[_-][a-z0-9]+){0,15}",
    "a name for an external module",
    "use a-z and 0-9, with single - or _ between them",
)
URL = Grammar(
    r"(?:https?|ssh|git)://[^\s@?#'\"\\$`]+|https?://[^\s@#'\"\\$`]+",
    "an address",
    "write https://host/path; a password belongs in git's own configuration or in ~/.netrc",
)
COMMIT = Grammar(
    r"[0-9a-f]{40}(?:[0-9a-f]{24})?", "a commit", "give all 40 (or 64) digits, as git rev-parse prints them"
)
VARIABLE = Grammar(r"[A-Za-z_][A-Za-z0-9_]*", "a variable of make", "use letters, digits and _")
# make expands `$`, a shell would do more: values are data.
VALUE = Grammar(r"[A-Za-z0-9_./:,+=@%^~ -]*", "a plain value", "use letters, digits, spaces and any of _./:,+=@%^~-")

_OWN = frozenset(("ARCH", "CC", "CROSS_COMPILE", "HOSTCC", "KBUILD_EXTMOD", "KBUILD_EXTRA_SYMBOLS", "KBUILD_OUTPUT"))
_OWN |= frozenset(("KERNELRELEASE", "M", "MAKE", "MAKEFLAGS", "O", "SHELL", "SRCARCH"))


def below(path: str) -> str:
    parts = PurePosixPath(path).parts
    if path.startswith("/") or ".." in parts or "\0" in path:
        raise Problem(f"{path!r} leads out of the source", "write a folder of the source, such as `driver/linux`")
    return path


def variable(name: str) -> str:
    if name in _OWN:
        raise Problem(f"{name} is set by the build itself", "remove it")
    return name


class ExternalModule(Section):
    """A source of modules that is not in the kernel's."""

    name: Annotated[str, MODULE_NAME] = Field(description="Its name, for stages, messages and the manifest")
    source: Literal["folder", "tarball", "git"] = Field(
        description="`folder`: of this machine; `tarball`: of this machine or of a URL; `git`: a commit of a repository"
    )
    path: FilePath | None = Field(
        default=None, description="The folder, the tarball or the repository, relative to the project's folder"
    )
    url: Annotated[str, URL] | None = Field(default=None, description="Where the tarball or the repository is fetched")
    sha256: Annotated[str, SHA256, AfterValidator(str.lower)] | None = Field(
        default=None, description="Checksum of the tarball; required with `url`"
    )
    commit: Annotated[str, COMMIT] | None = Field(default=None, description="With `git`: the whole commit ID")
    submodules: StrictBool = Field(
        default=True, description="With `git`: the submodules come along, each at the commit that it is pinned to"
    )
    subdir: Annotated[str, AfterValidator(below)] = Field(
        default="", description="The folder of the source with its Kbuild or Makefile"
    )
    make: dict[Annotated[str, VARIABLE, AfterValidator(variable)], Annotated[str, VALUE]] = Field(
        default={}, description="Further variables for make, plain text"
    )
    install: Literal["extra", "updates"] = Field(
        default="extra", description="The folder below lib/modules/V; depmod prefers `updates` to the kernel's own"
    )

    @model_validator(mode="after")
    def _fits_source(self) -> Self:
        places = [name for name in ("path", "url") if getattr(self, name)]
        allowed = ("path",) if self.source == "folder" else ("path", "url")
        if len(places) != 1 or places[0] not in allowed:
            raise Problem(
                f"source {self.source} needs {' or '.join(allowed)}", "give one of them, and nothing else", "source"
            )
        if self.source == "git" and not self.commit:
            raise Problem("source git needs commit", "pin it: git rev-parse HEAD prints it", "source")
        if self.source == "tarball" and self.url and not self.sha256:
            raise Problem("a tarball from a url needs sha256", "pin it, as sha256sum prints it", "url")
        if self.source == "tarball" and self.url and not self.url.startswith("http"):
            raise Problem("a tarball comes by http or https", "write https://host/path", "url")
        given = {"sha256": self.sha256, "commit": self.commit, "submodules": not self.submodules}
        for key, source in (("sha256", "tarball"), ("commit", "git"), ("submodules", "git")):
            if given[key] and self.source != source:
                raise Problem(f"{key} has no meaning with source {self.source}", "remove it", key)
        return self


def unique(modules: tuple[ExternalModule, ...]) -> tuple[ExternalModule, ...]:
    names = [module.name.replace("-", "_") for module in modules]
    for number, name in enumerate(names):
        if name in names[:number]:
            raise Problem(f"{modules[number].name} is there twice", "give each external module a name of its own")
    return modules
