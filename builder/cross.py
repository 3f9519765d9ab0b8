"""What a build takes for another architecture than that of the machine: compilers, libraries, programs of the images.

All stages run as programs of the machine; nothing is emulated. For what the images start with, and what modules are
built with, see `foreign-tools` in kernel.Dockerfile and `builder.stages.crosshost`.
"""

from __future__ import annotations

from collections.abc import Iterator

from builder.project import Project

CROSS_LIBRARIES = ("libc6-dev", "libelf-dev", "libssl-dev", "libzstd-dev", "zlib1g-dev")
"""What a cross compiler links the host programs of the headers package with."""
IMAGE_PACKAGES = ("busybox-static", "kmod")
"""What the images start with: as the stage `tools` has them, or of another architecture."""


def cross_packages(project: Project) -> Iterator[str]:
    """The compilers for other architectures than that of the machine, and what they link with."""
    for arch in project.foreign:
        yield f"gcc-{arch.gnu.replace('_', '-')}"
        yield from (f"{library}:{arch.oci}" for library in CROSS_LIBRARIES)


def cross_args(project: Project) -> dict[str, str]:
    """What the stages are told of a target that is not the machine's own architecture."""
    if project.arch == project.machine:
        return {"IMAGE_TOOLS": "tools"}
    return {
        "CROSS_COMPILE": f"{project.arch.gnu}-",
        "IMAGE_TOOLS": "foreign-tools",
        "IMAGE_ARCH": project.arch.oci,
        "IMAGE_PACKAGES": " ".join(IMAGE_PACKAGES),
        "SYSROOT": "/foreign",
    }
