"""Settings of the flavours of a kernel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, Field

from builder.settings.grammar import FLAVOUR, SUFFIX, FilePath, Problem, Section
from builder.settings.sources import Architectures


class Flavour(Section):
    """What one flavour has of its own, beside all that the project's flavours have in common."""

    suffix: Annotated[str, SUFFIX] | None = Field(
        default=None,
        description="What follows the kernel's version and a dash in `uname -r`; when not given, the project's suffix, "
        "a dash and the flavour's name",
    )
    architectures: Architectures = Field(
        default=(), description="What `rosk build --all` builds it for; all architectures of the project when empty"
    )
    fragments: tuple[FilePath, ...] = Field(
        default=(), description="Config fragments, merged after those of `config.fragments`"
    )
    lists: FilePath | None = Field(
        default=None,
        description="Folder with lists of its own, `ARCH/modules.list` and so on; those it lacks are the project's",
    )
    patches: FilePath | None = Field(
        default=None,
        description="Folder with further patches, `ARCH/NAME.patch`: all are applied in the order of their names, and "
        "one of the same name is instead of the project's",
    )


def _named(flavours: Mapping[str, Flavour]) -> Mapping[str, Flavour]:
    for name in flavours:
        try:
            FLAVOUR.check(name)
        except Problem as problem:
            raise Problem(str(problem), problem.hint, name) from None
    return flavours


Flavours = Annotated[Mapping[str, Flavour], AfterValidator(_named)]
