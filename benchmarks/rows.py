"""The rows of the table: what is measured, against what, and the bar that it is to meet."""

from __future__ import annotations

from dataclasses import dataclass

from builder.graph import IMAGES

ROSK, PLAIN, TUXMAKE, OS_KERNEL, PACKING = "rosk", "plain", "tuxmake", "os-kernel", "packing"
"""The sides that have samples; `packing` is the time that packing what a row changed takes by itself."""

TIMES = "\N{MULTIPLICATION SIGN}"

COMPILE = frozenset({"compile"})


@dataclass(frozen=True, kw_only=True)
class Bar:
    """What a row has to reach; rosk's time is to be at most `factor` times the reference's, and what ran is to fit.

    Attributes:
        text: The bar, as the table says it.
        factor: None where only what ran matters.
        reference: Row and side of the time that rosk's is compared with.
        plus_packing: The row's packing time is added to what the factor allows.
        never: Stages that may not run.
        only: The only stages that may run; None for any.
        no_larger: rosk's files may not be larger than those of the reference.
    """

    text: str
    factor: float | None = None
    reference: tuple[str, str] | None = None
    plus_packing: bool = False
    never: frozenset[str] = frozenset()
    only: frozenset[str] | None = None
    no_larger: bool = False


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row.

    Attributes:
        name: What `--rows` calls it.
        title: The work, as the table says it.
        repeat: How often it is measured; `repeat_quick` with `--quick`.
        sides: The sides that are measured in it.
    """

    name: str
    title: str
    bar: Bar
    repeat: int
    repeat_quick: int
    sides: tuple[str, ...]


def _beside_plain(name: str, factor: float) -> Bar:
    return Bar(text=f"≤ {factor:g} {TIMES} plain", factor=factor, reference=(name, PLAIN))


_UNPACKED = Bar(
    text=f"no compile, ≤ 0.5 {TIMES} plain with nothing changed + packing",
    factor=0.5,
    reference=("noop", PLAIN),
    plus_packing=True,
    never=COMPILE,
)
_ALL = (ROSK, PLAIN, TUXMAKE)

ROWS: tuple[Row, ...] = (
    Row(
        name="nothing",
        title="from nothing",
        bar=_beside_plain("nothing", 1.05),
        repeat=1,
        repeat_quick=1,
        sides=_ALL,
    ),
    Row(
        name="objects",
        title="object tree lost, compiler cache kept",
        bar=Bar(text=f"≤ 0.15 {TIMES} plain from nothing", factor=0.15, reference=("nothing", PLAIN)),
        repeat=2,
        repeat_quick=1,
        sides=(ROSK,),
    ),
    Row(
        name="ccache",
        title="a part of the kernel, compiler cache empty (beside none)",
        bar=Bar(text=f"free: ≤ 1.03 {TIMES} without", factor=1.03, reference=("ccache", PLAIN)),
        repeat=8,
        repeat_quick=2,
        sides=(ROSK, PLAIN),
    ),
    Row(name="noop", title="nothing changed", bar=_beside_plain("noop", 0.3), repeat=5, repeat_quick=3, sides=_ALL),
    Row(
        name="module",
        title="one line of one module changed (through a patch)",
        bar=_beside_plain("module", 1.5),
        repeat=5,
        repeat_quick=2,
        sides=_ALL,
    ),
    Row(
        name="builtin",
        title="one line of built-in code changed (through a patch)",
        bar=_beside_plain("builtin", 1.5),
        repeat=5,
        repeat_quick=2,
        sides=_ALL,
    ),
    Row(
        name="config",
        title="one module switched on in the config",
        bar=_beside_plain("config", 1.5),
        repeat=5,
        repeat_quick=2,
        sides=(ROSK, PLAIN),
    ),
    Row(
        name="list",
        title="a line moved between the lists",
        bar=_UNPACKED,
        repeat=5,
        repeat_quick=2,
        sides=(ROSK, PLAIN, PACKING),
    ),
    Row(
        name="firmware",
        title="a firmware file added",
        bar=_UNPACKED,
        repeat=5,
        repeat_quick=2,
        sides=(ROSK, PLAIN, PACKING),
    ),
    Row(
        name="script",
        title="an image's script changed",
        bar=Bar(text="only the images", only=frozenset(IMAGES)),
        repeat=5,
        repeat_quick=1,
        sides=(ROSK,),
    ),
    Row(
        name="registry",
        title="everything local lost, registry cache kept (`--cache-from`)",
        bar=Bar(text="no compile", never=COMPILE),
        repeat=1,
        repeat_quick=1,
        sides=(ROSK,),
    ),
    Row(
        name="packing",
        title="splitting and packing a full distribution kernel",
        bar=Bar(
            text=f"≥ 6 {TIMES} faster than os-kernel's scripts, files no larger",
            factor=1 / 6,
            reference=("packing", OS_KERNEL),
            no_larger=True,
        ),
        repeat=3,
        repeat_quick=1,
        sides=(ROSK, OS_KERNEL),
    ),
)


def find_rows(names: str | None) -> tuple[Row, ...]:
    """The rows of a comma-separated list of names, in the table's order; all of them for None.

    Raises:
        ValueError: There is no such row.
    """
    if names is None:
        return ROWS
    wanted = {name.strip() for name in names.split(",") if name.strip()}
    if unknown := wanted - {row.name for row in ROWS}:
        raise ValueError(f"no row {', '.join(sorted(unknown))}; there are {', '.join(row.name for row in ROWS)}")
    return tuple(row for row in ROWS if row.name in wanted)
