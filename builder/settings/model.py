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
from builder.settings.flavours import Flavours
from builder.settings.grammar import (
    ORG,
    SUFFIX,
    Problem,
    Section,
)
from builder.settings.publish import Publish
from builder.settings.registry import Registry
from builder.settings.signing import Signing
from builder.settings.sources import Architectures, Config, Kernel, Toolchain
from builder.settings.trust import Sign, Trust


class Settings(Section):
    """Settings of a rosk project: `config/rosk.yaml`."""

    org: Annotated[str, ORG] = Field(description="First part of the images' names, and the default suffix")
    suffix: Annotated[str, SUFFIX] | None = Field(
        default=None, description="What follows the kernel's version and a dash in `uname -r`; the org when not given"
    )
    kernel: Kernel = Field(description="Where the kernel's source comes from")
    architectures: Architectures = Field(
        default=(),
        description="What `rosk build --all` builds for: `x86`, `arm64`; this machine's when empty. On a machine of "
        "another one the kernel is cross-compiled",
    )
    flavours: Flavours = Field(
        default_factory=dict,
        description="Kernels of one source that differ in options, lists or patches: name to what is its own. The "
        "first is built when none is named",
    )
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
        default=(),
        description="Where `rosk publish` and `--push` push to: `host[:port][/prefix]`, or a mapping of `host`, "
        "`prefix`, `ca`, `plain_http`, `moving_tags`",
    )
    publish: Publish = Field(default_factory=Publish, description="Where `rosk publish` puts files beside that")
    # Of who signs and who is trusted nothing is built: the manifest does not have it.
    sign: Sign = Field(default_factory=Sign, exclude=True, description="The key that releases are signed with")
    trust: Trust = Field(default_factory=Trust, exclude=True, description="Whose signatures count")

    @model_validator(mode="after")
    def _has_suffix(self) -> Self:
        if self.suffix is None and not re.fullmatch(SUFFIX.pattern, self.org):
            raise Problem("the org is too long for a kernel release", "add a shorter `suffix`", "org")
        return self

    @model_validator(mode="after")
    def _flavours_differ(self) -> Self:
        seen: dict[str, str] = {}
        for name, flavour in self.flavours.items():
            version = self.localversion_of(name)
            if not re.fullmatch(SUFFIX.pattern, version[1:]):
                what = f"{name} makes the suffix {version[1:]}, which is too long"
                raise Problem(what, "give it a shorter `suffix`", "flavours")
            if version in seen:
                what = f"{seen[version]} and {name} have the same suffix, and so the same kernel release"
                raise Problem(what, "give one of them another `suffix`", "flavours")
            seen[version] = name
            if other := sorted({*flavour.architectures} - {*self.architectures}) if self.architectures else ():
                what = f"{name} is for {other[0]}, which the project is not for"
                raise Problem(what, "add it to `architectures`, or take it from the flavour's", "flavours")
        return self

    @property
    def localversion(self) -> str:
        """`CONFIG_LOCALVERSION` where there are no flavours, with its dash."""
        return f"-{self.suffix or self.org}"

    def localversion_of(self, flavour: str) -> str:
        """`CONFIG_LOCALVERSION` of a flavour, with its dash."""
        suffix = self.flavours[flavour].suffix
        return f"-{suffix}" if suffix else f"{self.localversion}-{flavour}"
