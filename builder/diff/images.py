"""A release in images: any of its three names the other two, and each carries a package."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from builder.arch import ARCHES
from builder.diff.contents import Located
from builder.errors import EngineError, InputError
from builder.graph import IMAGES
from builder.imagearchive import read_image

PACKAGES: Mapping[str, tuple[str, str]] = {
    "os-kernel": ("kernel", "kernel.tar"),
    "os-extras": ("extras", "extras.tar.gz"),
    "os-headers": ("headers", "build.tar.gz"),
}
"""What package an image carries, and as which file of its root."""


class Engine(Protocol):
    """What is asked of the engine; see `builder.engine.docker.Docker`."""

    def image_id(self, reference: str) -> str | None: ...

    def pull(self, reference: str) -> None: ...

    def save(self, reference: str, tar: Path) -> None: ...


def references(reference: str) -> dict[str, str]:
    """The three images of a release by name (`os-kernel`), from the reference of one (`acme/os-kernel:6.12.1-acme`).

    Raises:
        InputError: It is none of the three, or has no tag.
    """
    repository, _, tag = reference.rpartition(":")
    prefix, _, name = repository.rpartition("/")
    if name not in IMAGES or not tag or "/" in tag or "@" in reference:
        raise InputError(
            f"{reference} is neither a folder nor an image of a release",
            hint="name a folder with a release, or one of its images with its tag, such as acme/os-kernel:6.12.1-acme",
        )
    return {image: f"{prefix}/{image}:{tag}".lstrip("/") for image in IMAGES}


def locate_images(reference: str, engine: Engine, folder: Path, *, note: Callable[[str], None]) -> Located:
    """The release that an image belongs to.

    Args:
        reference: One of the three images.
        engine: Has the images, or pulls them.
        folder: Receives the packages that they carry; an empty one.
        note: Told what takes a while.

    Raises:
        InputError: It is no image of a release, or carries no package.
        EngineError: The engine cannot get one of the three.
    """
    packages, arches = {}, set()
    for image, tag in references(reference).items():
        kind, name = PACKAGES[image]
        packages[kind] = folder / name
        arches.add(_take(_save(tag, engine, folder / "image.tar", note), tag, name, packages[kind]))
    return Located(name=reference, packages=packages, a=", ".join(sorted(arches)))


def _save(tag: str, engine: Engine, archive: Path, note: Callable[[str], None]) -> Path:
    try:
        if engine.image_id(tag) is None:
            note(f"pulling {tag}")
            engine.pull(tag)
        engine.save(tag, archive)
    except EngineError as error:
        error.hint = error.hint or "the engine has to have all three images of a release, or get them from a registry"
        raise
    return archive


def _take(archive: Path, tag: str, name: str, target: Path) -> str:
    """Copy a file of an image's root; returns the package architecture of the image. The archive is gone then."""
    try:
        image = read_image(archive, take={f"/{name}": target})
    except InputError as error:
        error.where = tag
        raise
    if not target.exists():
        raise InputError(f"there is no /{name} in it", where=tag, hint="name an image that `rosk build` made")
    archive.unlink()
    oci = str(image.config.get("architecture", "unknown"))
    return next((arch.name for arch in ARCHES.values() if arch.oci == oci), oci)
