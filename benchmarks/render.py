"""The page that is made of the results: the same numbers give the same page."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.results import Results, Sample
from benchmarks.rows import PACKING, ROSK, ROWS, Row
from benchmarks.verdict import Verdict, judge, middle

PLOT = "results.svg"
_NONE = "\N{EN DASH}"
_KINDS = {
    "full": "",
    "quick": "**A quick run on a small kernel (tinyconfig and a few modules): no result, only a try.**",
    "fake": "**A run on a made-up kernel tree: the numbers mean nothing.**",
}


def page(results: Results) -> str:
    """RESULTS.md."""
    verdicts = [judge(row, results) for row in ROWS if row.name in results.samples or row.name in results.missing]
    parts = [
        "# What a rebuild costs",
        "Made by `benchmarks/run` from `results.json`; what each row does is in [README.md](README.md).",
        _KINDS[results.kind],
        f"![rosk's time beside plain make's]({PLOT})",
        _table(_HEAD, [_cells(verdict, results) for verdict in verdicts]),
        "Times are medians in seconds, rosk's with the number of repetitions. Plain is `make bzImage modules` in a "
        "tree that is kept, on the same source with the same config and toolchain; where rosk is compared with another "
        "time, the column says which. A ratio is the median of the repetitions'; the smallest and the largest are in "
        "brackets.",
        "\n".join(f"- {line}" for line in _TO_KNOW),
        "## What ran",
        _table(("work", "stages that ran", "objects compiled", "compiler cache, last repetition"), _ran(results)),
        *_notes(results),
        "## On what",
        f"Begun {results.date}.",
        _table(("", ""), [*results.machine.items(), *results.versions.items()]),
        *results.facts,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


_TO_KNOW = (
    "Object tree lost: it holds where the config was compiled whole before. With another `autoconf.h`, which every "
    "source includes, the compiler cache has no result for any.",
    "Packing, in the bars of lists and firmware: each package that changed, packed whole by rosk's own program with "
    "nothing kept from before. What the images' layers cost is not in it.",
    "The full distribution kernel: the programs of rosk's stages by themselves, beside os-kernel's scripts; everywhere "
    "else rosk is the command `rosk build`.",
    "TuxMake packs a `modules.tar.xz` too.",
)
_HEAD = ("work", "plain", "TuxMake", "rosk", "rosk / plain", "bar", "met", "rosk / TuxMake")


def _cells(verdict: Verdict, results: Results) -> tuple[str, ...]:
    row = verdict.row
    return (
        row.title,
        _time(verdict.reference, _reference_side(row)),
        _time(verdict.tuxmake),
        _repeated(verdict.seconds, len(results.of(row.name, ROSK))),
        _beside(verdict.ratio, verdict.limit) + _spread(verdict),
        _bar(verdict, results),
        _met(verdict, results),
        _ratio(verdict.against_tuxmake),
    )


def _reference_side(row: Row) -> str:
    """Said beside a time that is not plain make's for the same work."""
    if row.bar.reference is None or row.bar.reference[0] == row.name:
        return "" if row.bar.reference is None or row.bar.reference[1] == "plain" else row.bar.reference[1]
    return {"noop": "nothing changed", "nothing": "from nothing"}[row.bar.reference[0]]


def _bar(verdict: Verdict, results: Results) -> str:
    if not verdict.row.bar.plus_packing:
        return verdict.row.bar.text
    packing = middle(results.of(verdict.row.name, PACKING))
    return verdict.row.bar.text + (f" ({_ratio(verdict.limit)}, packing {packing:.1f} s)" if packing else "")


def _met(verdict: Verdict, results: Results) -> str:
    if reason := results.missing.get(verdict.row.name):
        return f"not measured: {reason.splitlines()[0]}"
    if verdict.met is None:
        return _NONE
    return "yes" if verdict.met else " ".join(["**no**", ", ".join(verdict.broken)]).strip()


def _time(seconds: float | None, said: str = "") -> str:
    if seconds is None:
        return _NONE
    text = f"{seconds:.2f}" if seconds < 10 else f"{seconds:.1f}" if seconds < 100 else f"{seconds:.0f}"
    return f"{text} ({said})" if said else text


def _repeated(seconds: float | None, times: int) -> str:
    return _time(seconds, str(times)) if seconds is not None else _NONE


def _ratio(value: float | None) -> str:
    return _NONE if value is None else f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


def _beside(value: float | None, limit: float | None) -> str:
    """A ratio with as many digits as tell it from its bar."""
    if value is not None and limit is not None and value > limit and _ratio(value) == _ratio(limit):
        return f"{value:.4f}"
    return _ratio(value)


def _spread(verdict: Verdict) -> str:
    return " ({}\N{EN DASH}{})".format(*map(_ratio, verdict.spread)) if verdict.spread else ""


def _ran(results: Results) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for row in ROWS:
        samples = [sample for sample in results.of(row.name, ROSK) if "ran" in sample]
        if samples:
            rows.append((row.title, *_ran_in(samples)))
    return rows


def _ran_in(samples: Sequence[Sample]) -> tuple[str, str, str]:
    """The stages and objects of all repetitions, and what the compiler cache did in the last one."""
    stages = list(dict.fromkeys(stage for sample in samples for stage in sample["ran"] or ()))
    compiled = samples[-1].get("compiled") or {}
    cache = compiled.get("compiler_cache") or {}
    counts = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in cache.items())
    objects = sorted({int(found["objects"]) for sample in samples if "objects" in (found := sample["compiled"] or {})})
    span = _NONE.join(map(str, dict.fromkeys((objects[0], objects[-1])))) if objects else "none"
    return ", ".join(stages) or "none", span, counts or _NONE


def _notes(results: Results) -> list[str]:
    lines = [
        f"- {row.title}: {note}"
        for row in ROWS
        for note in results.notes.get(row.name, ())
        if row.name in results.samples
    ]
    return ["## Notes", "\n".join(lines)] if lines else []


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |" for line in lines)
