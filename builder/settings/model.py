"""The whole settings file as one frozen model."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    Field,
    model_validator,
)

from builder.settings.caching import Cache
from builder.settings.contents import Firmware, Lists, Packages
from builder.settings.external import ExternalModule, unique
from builder.settings.grammar import (
    ORG,
    SUFFIX,
    Problem,
    Section,
)
from builder.settings.registry import Registry
from builder.settings.signing import Signing
from builder.settings.sources import Config, Kernel, Toolchain


class Settings(Section):
    """Settings of a rosk project: `config/rosk.yaml`."""

    org: Annotated[str, ORG] = Field(description="First part of the images' names, and the default suffix")
    suffix: Annotated[str, SUFFIX] | None = Field(
        default=None, description="What follows the kernel's version and a dash in `uname -r`; the org when not given"
    )
    kernel: Kernel = Field(description="Where the kernel's source comes from")
    toolchain: Toolchain = Field(default_factory=Toolchain, description="What compiles the kernel")
    config: Config = Field(default_factory=Config, description="How the kernel is configured")
    lists: Lists = Field(default_factory=Lists, description="What happens to modules beside the lists")
    firmware: Firmware = Field(default_factory=Firmware, description="Where the listed firmware comes from")
    cache: Cache = Field(default_factory=Cache, description="What machines share of their caches")
    packages: Packages = Field(default_factory=Packages, description="How the packages are made")
    modules: Annotated[tuple[ExternalModule, ...], AfterValidator(unique)] = Field(
        default=(),
        description="External modules, built against the headers in this order: each `name`, `source` (`folder`, "
        "`tarball` or `git`) with `path` or `url`, `sha256` or `commit`, and `subdir`, `make` and `install` as needed "
        "([docs/modules.md](docs/modules.md))",
    )
    signing: Signing = Field(default_factory=Signing, description="Whose key signs the modules")
    registries: tuple[Registry, ...] = Field(
        default=(), description="Where `--push` pushes to: `host[:port][/prefix]`, or a mapping of `host` and `prefix`"
    )

    @model_validator(mode="after")
    def _has_suffix(self) -> Self:
        if self.suffix is None and not re.fullmatch(SUFFIX.pattern, self.org):
            raise Problem("the org is too long for a kernel release", "add a shorter `suffix`", "org")
        return self

    @property
    def localversion(self) -> str:
        """`CONFIG_LOCALVERSION`, with its dash."""
        return f"-{self.suffix or self.org}"
