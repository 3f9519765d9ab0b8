"""From samples to ratios, and whether a row meets its bar."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from benchmarks.results import Results, Sample
from benchmarks.rows import PACKING, ROSK, TUXMAKE, Row


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A row's result; times are medians in seconds, None where there is no sample.

    Attributes:
        ratio: rosk's time as a multiple of the reference's: the median of those of the repetitions, where each of them
            has its own reference.
        spread: The smallest and the largest of those; None where there are none, or one.
        limit: What the bar allows, as a multiple of the reference's time.
        against_tuxmake: rosk's time as a multiple of TuxMake's.
        broken: What did not fit the bar beside the time, a few words each.
        met: Whether the bar is met; None while that cannot be told.
    """

    row: Row
    seconds: float | None
    reference: float | None
    tuxmake: float | None
    ratio: float | None
    spread: tuple[float, float] | None
    limit: float | None
    against_tuxmake: float | None
    broken: tuple[str, ...]
    met: bool | None


def middle(samples: list[Sample]) -> float | None:
    """The median of the samples' seconds."""
    return median(float(sample["seconds"]) for sample in samples) if samples else None


def divide(value: float | None, by: float | None) -> float | None:
    return value / by if value is not None and by else None


def judge(row: Row, results: Results) -> Verdict:
    """Compare a row's samples with its bar."""
    bar = row.bar
    samples = results.of(row.name, ROSK)
    seconds = middle(samples)
    reference = _reference(row, results)
    packing = middle(results.of(row.name, PACKING)) or 0.0
    limit = None
    if bar.factor is not None and reference:
        limit = bar.factor + (packing / reference if bar.plus_packing else 0.0)
    tuxmake = middle(results.of(row.name, TUXMAKE))
    ratios = _paired(row, results)
    ratio = median(ratios) if ratios else divide(seconds, reference)
    broken = tuple(_broken(row, results))
    return Verdict(
        row=row,
        seconds=seconds,
        reference=reference,
        tuxmake=tuxmake,
        ratio=ratio,
        spread=(min(ratios), max(ratios)) if len(ratios) > 1 else None,
        limit=limit,
        against_tuxmake=divide(seconds, tuxmake),
        broken=broken,
        met=_met(row, ratio, limit, broken) if samples else None,
    )


def _reference(row: Row, results: Results) -> float | None:
    """The time that a row is compared with: that of its own repetitions where it has any, taken beside rosk's."""
    if row.bar.reference is None:
        return None
    name, side = row.bar.reference
    return middle(results.of(row.name, side)) or middle(results.of(name, side))


def _paired(row: Row, results: Results) -> list[float]:
    """The ratio of each repetition, where each has measured rosk and the reference once, one beside the other."""
    ours = results.of(row.name, ROSK)
    theirs = results.of(row.name, row.bar.reference[1]) if row.bar.reference else []
    if len(ours) != len(theirs):
        return []
    return [float(our["seconds"]) / float(their["seconds"]) for our, their in zip(ours, theirs, strict=True)]


def _met(row: Row, ratio: float | None, limit: float | None, broken: tuple[str, ...]) -> bool | None:
    if broken:
        return False
    if row.bar.factor is None:
        return True
    return None if ratio is None or limit is None else ratio <= limit


def _broken(row: Row, results: Results) -> list[str]:
    """What a row's samples did that its bar forbids."""
    bar, found = row.bar, []
    ran = {stage for sample in results.of(row.name, ROSK) for stage in sample.get("ran", ())}
    wrong = ran & bar.never | (ran - bar.only if bar.only is not None else set())
    found += [f"{stage} ran" for stage in sorted(wrong)]
    if bar.no_larger and bar.reference is not None:
        ours, theirs = (_sizes(results.of(row.name, side)) for side in (ROSK, bar.reference[1]))
        found += [f"{name} is larger" for name, size in ours.items() if name in theirs and size > theirs[name]]
    return found


def _sizes(samples: list[Sample]) -> dict[str, int]:
    """How large each file was in the last sample."""
    return dict(samples[-1].get("sizes", {})) if samples else {}
