"""Settings of what a kernel is made from: its source, its compiler, its config."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    StrictBool,
    model_validator,
)

from builder.inputs.kernelorg import AUTOSIGNER, MIRRORS, VERSION
from builder.settings.grammar import (
    AS_OF,
    BASE,
    FINGERPRINT,
    MIRROR,
    SHA256,
    SUITE,
    DebianPackages,
    FilePath,
    Problem,
    Section,
    Text,
    at_least_one,
    joined,
    no_twins,
)


class Kernel(Section):
    """Where the kernel's source comes from."""

    source: Literal["debian", "kernel.org", "tarball", "tree"] = Field(
        default="debian",
        description="`debian`: the package linux-source-VERSION of the toolchain's suite, verified by apt; "
        "`kernel.org`: a release; `tarball`, `tree`: an archive or a folder on this machine",
    )
    version: Text | None = Field(
        default=None,
        description="With `debian` the series of the package (`6.12`), with `kernel.org` the release (`6.12.64`)",
    )
    sha256: Annotated[str, SHA256, AfterValidator(str.lower)] | None = Field(
        default=None,
        description="Checksum of the tarball; without it, kernel.org's comes from rosk's table or from the "
        "signed sha256sums.asc",
    )
    path: FilePath | None = Field(default=None, description="The tarball or the tree, relative to the project's folder")
    mirrors: Annotated[tuple[Annotated[str, MIRROR], ...], AfterValidator(at_least_one)] = Field(
        default=MIRRORS, description="Mirrors of kernel.org's pub/linux/kernel, tried in this order"
    )
    signing_keys: Annotated[
        tuple[Annotated[str, FINGERPRINT, AfterValidator(joined)], ...], AfterValidator(at_least_one)
    ] = Field(default=(AUTOSIGNER,), description="Fingerprints of the keys that may sign sha256sums.asc")
    keyring: FilePath | None = Field(
        default=None, description="File with these public keys; without it, kernel.org's web key directory is asked"
    )

    @model_validator(mode="after")
    def _fits_source(self) -> Self:
        needs = "version" if self.source in ("debian", "kernel.org") else "path"
        optional = ("sha256",) if self.source in ("kernel.org", "tarball") else ()
        self._fit(self.source, needs, optional, ("version", "path", "sha256"))
        if self.source == "debian" and not re.fullmatch(r"[1-9]\d*\.\d+", self.version or ""):
            how = "give the two numbers in the package's name: 6.12 for linux-source-6.12"
            raise Problem(f"{self.version!r} is not the series of a linux-source package", how, "version")
        if self.source == "kernel.org" and not VERSION.fullmatch(self.version or ""):
            how = "give a release such as 6.12.64; a release candidate can be built with source tarball or tree"
            raise Problem(f"{self.version!r} is not a kernel.org release", how, "version")
        return self


class Toolchain(Section):
    """What compiles the kernel."""

    suite: Annotated[str, SUITE] = Field(
        default="auto",
        description="Debian suite whose compiler builds the kernel; `auto`: the one that fits the kernel's series, see "
        "`rosk plan`",
    )
    compiler: Literal["gcc", "clang"] = Field(
        default="gcc",
        description="`gcc`, or `clang` with the rest of LLVM (kbuild's LLVM=1, which Linux 5.7 and newer know)",
    )
    base: Annotated[str, BASE] = Field(
        default="auto",
        description="Image of that suite to start from; `auto`: a local one, else a pulled one, else one made with "
        "mmdebstrap",
    )
    packages: DebianPackages = Field(default=(), description="Further Debian packages to install beside the compiler")
    as_of: Annotated[str, AS_OF] = Field(
        default="",
        description="A date or another word; change it to take Debian's packages (toolchain, source, firmware) anew",
    )


ArchName = Literal["x86", "arm64"]
Architectures = Annotated[tuple[ArchName, ...], AfterValidator(no_twins)]


class Config(Section):
    """How the kernel is configured, beside `config/ARCH/kernel-config`."""

    fragments: tuple[FilePath, ...] = Field(
        default=(),
        description="Config fragments, relative to the project's folder, merged in this order (the last one wins)",
    )
    strict: StrictBool = Field(default=False, description="An option of a full config that was dropped is an error too")
    policies: tuple[Text, ...] = Field(
        default=(),
        description="What the resolved config must and must not set; a build that breaks one stops before its compile: "
        "`docker`, `containerd`, or files of the project",
    )
