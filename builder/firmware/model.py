"""What `rosk firmware` knows: the lists as they are written, what the source offers, and what the modules ask for."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from builder.stages.firmwaretree import FirmwareTree
from builder.stages.lists import FIRMWARE, Entry, Problem, in_both, read_list

MAIN_LIST, EXTRA_LIST = "lists/firmware.list", "lists/firmware-extra.list"
KERNEL, EXTRAS = "kernel", "extras"
LIST_OF: Mapping[str, str] = {KERNEL: MAIN_LIST, EXTRAS: EXTRA_LIST}
"""The list that names what goes in a package, by its name in the build context."""


@dataclass(frozen=True, kw_only=True)
class Texts:
    """The two firmware lists as they are written: their lines that are right, and what is wrong with the others."""

    main: str
    extra: str
    main_lines: tuple[Entry, ...]
    extra_lines: tuple[Entry, ...]
    problems: tuple[Problem, ...]

    def of(self, name: str) -> str:
        """The text of a list by its name in the build context."""
        return self.main if name == MAIN_LIST else self.extra

    @property
    def lines(self) -> tuple[Entry, ...]:
        return (*self.main_lines, *self.extra_lines)


def read_texts(main: str, extra: str) -> Texts:
    """Read the two lists.

    Raises:
        StageError: One is not a text.
    """
    entries, problems = read_list(main, MAIN_LIST, FIRMWARE)
    others, more = read_list(extra, EXTRA_LIST, FIRMWARE)
    return Texts(
        main=main,
        extra=extra,
        main_lines=tuple(entries),
        extra_lines=tuple(others),
        problems=(*problems, *more, *in_both(entries, others)),
    )


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What the firmware source offers.

    Attributes:
        revision: Which linux-firmware it is of.
    """

    tree: FirmwareTree
    revision: str


@dataclass(frozen=True, kw_only=True)
class Upstream:
    """What linux-firmware itself has by now.

    Attributes:
        names: Its files and links.
        url: Where that is from.
        fetched: Since when that is known, in seconds since 1970.
        stale: It could not be asked for again.
        said: The same in words.
    """

    names: frozenset[str]
    url: str
    fetched: float
    stale: bool
    said: str


@dataclass(frozen=True, kw_only=True)
class Asking:
    """A module, or a driver of the kernel image, that may ask for firmware.

    Attributes:
        path: As under lib/modules/<release>; of what is built in, its name.
        package: `kernel` or `extras`; what is built in is of the kernel package.
        builtin: It is part of the kernel image.
    """

    path: str
    package: str
    builtin: bool = False

    def __str__(self) -> str:
        return f"{self.path} (built in)" if self.builtin else f"{self.path} of the {self.package} package"


@dataclass(frozen=True, kw_only=True)
class Known:
    """All that is known.

    Attributes:
        offer: None where nobody has told what the source offers.
        no_source: The settings say that no firmware ships.
        asked: Firmware → who may ask for it; None where nothing is known of the modules. A few names are patterns.
        inside: The firmware that the kernel image itself has (CONFIG_EXTRA_FIRMWARE).
        release: The kernel release that is known, or None.
        sources: Where all this comes from, a line each.
        upstream: What linux-firmware itself has; None where it was not asked.
    """

    offer: Offer | None
    no_source: bool = False
    asked: Mapping[str, tuple[Asking, ...]] | None
    inside: frozenset[str] = frozenset()
    release: str | None = None
    sources: tuple[str, ...] = ()
    upstream: Upstream | None = None
    patterns: tuple[str, ...] = field(init=False, default=())

    def __post_init__(self) -> None:
        object.__setattr__(self, "patterns", tuple(name for name in self.asked or () if is_pattern(name)))

    def askers(self, name: str) -> tuple[Asking, ...]:
        """Who may ask for a file."""
        asked = self.asked or {}
        found = list(asked.get(name, ()))
        for pattern in self.patterns:
            if fnmatchcase(name, pattern):
                found += asked[pattern]
        return tuple(found)


def is_pattern(name: str) -> bool:
    """Whether a module names more than one file at once (`brcm/brcmfmac*-sdio.*.bin`)."""
    return "*" in name


def matching(name: str, names: Collection[str]) -> list[str]:
    """Those of `names` that a module means by a name or pattern."""
    if is_pattern(name):
        return [other for other in names if fnmatchcase(other, name)]
    return [name] if name in names else []
