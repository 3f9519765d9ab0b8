"""The architectures rosk builds for, and the names that kbuild, Debian and OCI give them."""

from __future__ import annotations

import platform
from dataclasses import dataclass

from builder.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Arch:
    """One target architecture.

    Attributes:
        name: The package architecture, and the folder name under `config/`, `lists/` and `patches/`.
        kbuild: `ARCH=` for make.
        srcarch: The folder under the kernel's `arch/`.
        image: The make target of the bootable image (`make help`, "Architecture specific targets").
        image_path: Where make leaves that image, from the object tree.
        oci: The architecture of an OCI image (`GOARCH`), and Debian's name of it.
        gnu: Its GNU system type, which cross compilers are named for.
        tag_suffix: What follows V in the image tags.
    """

    name: str
    kbuild: str
    srcarch: str
    image: str
    image_path: str
    oci: str
    gnu: str
    tag_suffix: str


X86 = Arch(
    name="x86",
    kbuild="x86_64",
    srcarch="x86",
    image="bzImage",
    image_path="arch/x86/boot/bzImage",
    oci="amd64",
    gnu="x86_64-linux-gnu",
    tag_suffix="",
)
ARM64 = Arch(
    name="arm64",
    kbuild="arm64",
    srcarch="arm64",
    image="Image",
    image_path="arch/arm64/boot/Image",
    oci="arm64",
    gnu="aarch64-linux-gnu",
    tag_suffix="_arm64",
)
ARCHES = {arch.name: arch for arch in (X86, ARM64)}
_MACHINES = {"x86_64": X86, "amd64": X86, "aarch64": ARM64, "arm64": ARM64}


def host_arch() -> Arch:
    """The architecture of this machine; x86 where it is none that rosk builds for."""
    return _MACHINES.get(platform.machine(), X86)


def find_arch(name: str) -> Arch:
    """The architecture of that name (`x86`, `arm64`).

    Raises:
        InputError: There is none.
    """
    try:
        return ARCHES[name]
    except KeyError:
        raise InputError(f"unknown architecture {name!r}", hint=f"use one of {', '.join(ARCHES)}") from None
