"""Settings of what the packages hold: modules by the lists, firmware, compression."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    StrictBool,
    model_validator,
)

from builder.settings.grammar import (
    DebianPackages,
    FilePath,
    Section,
    module_glob,
)


class ListRule(Section):
    """Where `rosk lists fix` writes modules that no list names."""

    glob: Annotated[str, AfterValidator(module_glob)] = Field(
        description="The modules, in the form of a line of the lists: `kernel/drivers/net/**`"
    )
    to: Literal["core", "extra", "error"] = Field(
        description="`core`: modules.list, `extra`: modules-extra.list, `error`: neither, you decide"
    )


class Lists(Section):
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


class Firmware(Section):
    """Where the listed firmware comes from."""

    source: Literal["debian", "tarball", "folder", "none"] = Field(
        default="none",
        description="`debian`: Debian's firmware-* packages; `tarball`, `folder`: a linux-firmware release or "
        "clone on this machine; `none`",
    )
    packages: DebianPackages = Field(default=(), description="With `debian`: the packages to take firmware from")
    path: FilePath | None = Field(
        default=None, description="The tarball or the folder, relative to the project's folder"
    )
    strict: StrictBool = Field(
        default=False, description="A listed file that the source lacks is an error, not a warning"
    )

    @model_validator(mode="after")
    def _fits_source(self) -> Self:
        needs = {"debian": "packages", "tarball": "path", "folder": "path", "none": None}[self.source]
        self._fit(self.source, needs, (), ("packages", "path"))
        return self


class Packages(Section):
    """How the packages of `dist/kernel` are made."""

    compression: Literal["gzip", "zstd", "xz"] = Field(
        default="gzip",
        description="`gzip`: what every consumer reads; `zstd` or `xz` for your own (the images carry gzip either way)",
    )
