"""Which of a project's kernels is meant: a flavour for an architecture, where its release goes, and what is its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os.path import lexists
from pathlib import Path

from builder.arch import Arch, find_arch, host_arch
from builder.errors import InputError
from builder.settings import Flavour, Settings

LISTS = ("modules.list", "modules-extra.list")
MORE_LISTS = ("firmware.list", "firmware-extra.list")
"""Lists that a project need not have."""


def kernel_name(flavour: str | None, arch: Arch) -> str:
    """What tells a kernel from the others of its project: `cloud-x86`, or `arm64` where there are no flavours."""
    return arch.name if flavour is None else f"{flavour}-{arch.name}"


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One kernel of a project.

    Attributes:
        arch: What it is for.
        flavour: The name of its flavour; None in a project that has none.
    """

    arch: Arch
    flavour: str | None

    def own(self, settings: Settings) -> Flavour:
        """What its flavour has of its own."""
        return Flavour() if self.flavour is None else settings.flavours[self.flavour]

    def dist(self, root: Path, settings: Settings) -> Path:
        """Where its release goes: what is built when nothing is said to `dist`, any other to a folder of its own."""
        if self == choose(settings):
            return root / "dist"
        return root / "dist" / kernel_name(self.flavour, self.arch)

    def lists(self, root: Path, settings: Settings) -> dict[str, Path]:
        """Its lists, name in the build context to file: the flavour's own where it has them, else the project's.

        Raises:
            InputError: The settings name a folder that is not there.
        """
        folder, own = root / "lists" / self.arch.name, self.own(settings).lists
        if own is not None and not (root / own / self.arch.name).is_dir():
            hint = f"the lists of the flavour {self.flavour} for {self.arch.name} belong there"
            raise InputError("there is no such folder", where=root / own / self.arch.name, hint=hint)
        found = {}
        for name in (*LISTS, *MORE_LISTS):
            path = root / own / self.arch.name / name if own else folder / name
            # A link to nothing is there, and a mistake: it does not stand for a list that was left out.
            path = path if lexists(path) else folder / name
            if name in LISTS or lexists(path):
                found[f"lists/{name}"] = path
        return found

    def patches(self, root: Path, settings: Settings) -> list[Path]:
        """The folders of its patches: the project's, and the flavour's own, whose patches win by their names."""
        own = self.own(settings).patches
        return [root / "patches" / self.arch.name, *([root / own / self.arch.name] if own is not None else ())]


def choose(settings: Settings, *, arch: str | None = None, flavour: str | None = None) -> Choice:
    """The kernel that is meant: the first flavour and this machine's architecture, where nothing else is said.

    Args:
        arch: A package architecture. None: this machine's, if the project and the flavour are for that, else the first.
        flavour: The name of a flavour.

    Raises:
        InputError: There is no such architecture or flavour, or the flavour is not for the architecture.
    """
    if flavour is None:
        flavour = next(iter(settings.flavours), None)
    elif flavour not in settings.flavours:
        hint = f"there are {', '.join(settings.flavours)}" if settings.flavours else "the settings have no flavours"
        raise InputError(f"there is no flavour {flavour!r}", hint=hint)
    names = _architectures(settings, flavour)
    if arch is None:
        return Choice(arch=host_arch() if host_arch().name in names else find_arch(names[0]), flavour=flavour)
    own = settings.flavours[flavour].architectures if flavour is not None else ()
    if own and arch not in own:
        raise InputError(f"the flavour {flavour} is not for {arch}", hint=f"it is for {', '.join(own)}")
    return Choice(arch=find_arch(arch), flavour=flavour)


def every_choice(settings: Settings, *, arch: str | None = None, flavour: str | None = None) -> tuple[Choice, ...]:
    """All kernels of a project, or those of one architecture or flavour.

    Raises:
        InputError: There are none.
    """
    flavours = [flavour] if flavour is not None or not settings.flavours else list(settings.flavours)
    found = tuple(
        choose(settings, arch=each, flavour=name)
        for name in flavours
        for each in _architectures(settings, choose(settings, flavour=name).flavour)
        if arch in (None, each)
    )
    if not found:
        raise InputError(f"no kernel of the project is for {arch}", hint="see `architectures` in the settings")
    return found


def _architectures(settings: Settings, flavour: str | None) -> Sequence[str]:
    own = settings.flavours[flavour].architectures if flavour is not None else ()
    return own or settings.architectures or (host_arch().name,)
