"""The image that the toolchain is installed in: a Debian suite, from where it can be had.

No registry is needed: where none can be reached, mmdebstrap makes the image from Debian's own packages.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, Protocol

from builder.engine import apt
from builder.engine.cacherecords import BuildCache
from builder.engine.install import Say, announce
from builder.errors import EngineError
from builder.process import run

AUTO = "auto"
PULL_SECONDS = 120.0
EPOCH = 1704067200
"""SOURCE_DATE_EPOCH of a bootstrap (2024-01-01): equal package versions give an equal archive."""

Origin = Literal["local", "pulled", "bootstrapped"]


@dataclass(frozen=True, kw_only=True)
class BaseImage:
    """A base image that is in the engine.

    Attributes:
        ref: What to call it in `FROM`.
        id: The engine's ID of it, `sha256:…`.
        origin: Where it came from.
    """

    ref: str
    id: str
    origin: Origin


class Images(Protocol):
    """What is asked of an engine here; `builder.engine.docker.Docker` can do it."""

    def image_id(self, reference: str) -> str | None:
        """The ID of a local image, or None."""
        ...

    def pull(self, reference: str, *, seconds: float | None = None) -> None:
        """Pull an image; EngineError when that fails, or takes longer than so many seconds."""
        ...

    def import_tar(self, tar: Path, reference: str) -> None:
        """Make an image of a root file system."""
        ...


class Engine(Images, Protocol):
    """What a build asks of an engine: `builder.engine.docker.Docker`, or `builder.engine.buildah.Buildah`."""

    remote: bool
    """Solves run elsewhere: the builder has none of the engine's images, and gives it none by itself."""

    brings_all: bool
    """A solve brings all packages to this machine, whatever it is asked for."""

    @property
    def build_cache(self) -> BuildCache | None:
        """What it keeps of its steps; None where it keeps nothing."""
        ...

    def bake(self, plan: Mapping[str, Any], *, epoch: int, on_output: Callable[[str], None]) -> dict[str, Any]:
        """Solve all targets of a bake file, and return their metadata."""
        ...

    def image_ids(self, references: Sequence[str]) -> dict[str, str]:
        """The IDs of local images by their references; empty when one of them is missing."""
        ...

    def tag(self, image: str, reference: str) -> None:
        """Give a local image (an ID or a name) another name; EngineError where there is no such image."""
        ...

    def untag(self, reference: str) -> None:
        """Take a name from a local image; the image stays while it has another."""
        ...

    def gateway(self) -> str:
        """The address of the engine's machine as build steps see it."""
        ...

    def load(self, tar: Path) -> None:
        """Take the images of an archive."""
        ...

    def save_layout(self, reference: str, folder: Path) -> str:
        """Write a local image as an OCI image layout, and return what BuildKit calls it."""
        ...

    def save(self, reference: str, tar: Path) -> None:
        """Write a local image as an archive (`docker save`)."""
        ...


def bootstrapped_name(suite: str) -> str:
    """The local name of a base that rosk made itself."""
    return f"rosk-base:{suite}"


def resolve_base(engine: Images, suite: str, wanted: str, *, allow_install: bool, say: Say) -> BaseImage:
    """Find or make the base image.

    Args:
        suite: The Debian suite, `trixie`.
        wanted: AUTO, or the reference of an image to use instead (local, else pulled).
        allow_install: Whether mmdebstrap may be installed.
        say: Told what is done when it takes long or changes the machine.

    Raises:
        EngineError: There is no such image, or no base could be made; the hint is the next step.
    """
    if wanted != AUTO:
        return _local(engine, wanted) or _pulled(engine, wanted)
    for ref in (bootstrapped_name(suite), f"debian:{suite}-slim", f"debian:{suite}"):
        if image := _local(engine, ref):
            return image
    try:
        return _pulled(engine, f"debian:{suite}-slim", seconds=PULL_SECONDS)
    except EngineError as error:
        cause = error.what.rpartition(": ")[2]
        say(f"debian:{suite}-slim cannot be pulled ({cause}): bootstrapping Debian {suite} with mmdebstrap instead")
    return _bootstrapped(engine, suite, allow_install=allow_install, say=say)


def _local(engine: Images, ref: str) -> BaseImage | None:
    found = engine.image_id(ref)
    return BaseImage(ref=ref, id=found, origin="local") if found else None


def _pulled(engine: Images, ref: str, *, seconds: float | None = None) -> BaseImage:
    engine.pull(ref, seconds=seconds)
    return BaseImage(ref=ref, id=engine.image_id(ref) or "", origin="pulled")


def _bootstrapped(engine: Images, suite: str, *, allow_install: bool, say: Say) -> BaseImage:
    _need_mmdebstrap(allow_install=allow_install, say=say)
    ref = bootstrapped_name(suite)
    with TemporaryDirectory(prefix="rosk-base-") as folder:
        tar = Path(folder, "base.tar")
        run(
            ["mmdebstrap", "--variant=minbase", suite, tar],
            env={"SOURCE_DATE_EPOCH": str(EPOCH), "PATH": apt.system_path()},
            error=EngineError,
            hint=f"name an image of Debian {suite} in the settings (toolchain.base), or load one as {ref}",
        )
        engine.import_tar(tar, ref)
    return BaseImage(ref=ref, id=engine.image_id(ref) or "", origin="bootstrapped")


def _need_mmdebstrap(*, allow_install: bool, say: Say) -> None:
    """Have mmdebstrap on this machine.

    Raises:
        EngineError: It is missing and cannot be installed.
    """
    if shutil.which("mmdebstrap"):
        return
    packages = ("mmdebstrap", "debian-archive-keyring")
    if not apt.available():
        raise EngineError(
            "no base image can be pulled, and mmdebstrap, which would make one, is missing",
            hint="install mmdebstrap, or name an image in the settings (toolchain.base)",
        )
    announce(
        "no base image can be pulled, and mmdebstrap, which makes one, is missing",
        [f"install Debian packages: {' '.join(packages)}"],
        by_hand=shlex.join(apt.install_argv(packages)),
        allow_install=allow_install,
        say=say,
    )
    apt.install(packages, complaints=apt.update())
