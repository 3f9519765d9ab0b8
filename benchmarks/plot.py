"""The plot: an SVG that is readable on a light and on a dark page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from benchmarks.results import Results
from benchmarks.rows import ROWS
from benchmarks.verdict import Verdict, judge

WIDTH, LEFT, RIGHT, TOP, STEP = 860, 330, 70, 64, 34
_STYLE = """\
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.small { font-size: 11px; fill: #59636e }
.grid { stroke: #d1d9e0 }
.one { stroke: #59636e; stroke-dasharray: 4 3 }
.good { fill: #1a7f5a }
.bad { fill: #c4432b }
.open { fill: #6e7781 }
.bar { stroke: #1f2328; stroke-width: 2 }
.tux { fill: #9a6700 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .small { fill: #9198a1 }
  .grid { stroke: #3d444d }
  .one { stroke: #9198a1 }
  .good { fill: #3fb98a }
  .bad { fill: #f0735c }
  .open { fill: #9198a1 }
  .bar { stroke: #e6edf3 }
  .tux { fill: #d9a520 }
}"""


def plot(results: Results) -> str:
    """results.svg: for each row with a ratio rosk's time, plain's being 1, the bar, and TuxMake's."""
    verdicts = [verdict for verdict in (judge(row, results) for row in ROWS) if verdict.ratio is not None]
    end = axis_end([value for verdict in verdicts for value in (verdict.ratio, verdict.limit) if value is not None])
    height = TOP + STEP * len(verdicts) + 20
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'role="img" aria-labelledby="title">',
        "<title id=\"title\">rosk's time as a multiple of plain make's, with the bar of each row</title>",
        f"<style>\n{_STYLE}\n</style>",
        *_legend(),
        *_axis(end, height),
    ]
    for number, verdict in enumerate(verdicts):
        lines += _row(verdict, TOP + STEP * number, end)
    return "\n".join([*lines, "</svg>"]) + "\n"


def axis_end(values: Sequence[float]) -> float:
    """Where the axis ends: past everything, on a half; what is far off is cut at 4."""
    return min(4.0, max(1.5, -(-max(values, default=1.0) * 1.05 // 0.5) * 0.5))


def _x(value: float, end: float) -> float:
    return round(LEFT + (WIDTH - LEFT - RIGHT) * min(value, end) / end, 1)


def _legend() -> list[str]:
    return [
        '<text x="10" y="20">rosk\'s time, plain make\'s being 1 '
        '<tspan class="small">(object tree lost: plain from nothing; lists and firmware: plain with nothing changed; '
        "packing: os-kernel's scripts)</tspan></text>",
        '<rect class="good" x="10" y="31" width="12" height="12"/>',
        '<rect class="bad" x="110" y="31" width="12" height="12"/>',
        '<line class="bar" x1="190" y1="29" x2="190" y2="45"/>',
        '<circle class="tux" cx="255" cy="37" r="4"/>',
        *(
            f'<text class="small" x="{x}" y="41">{text}</text>'
            for x, text in (
                *((27, "meets its bar"), (127, "does not"), (197, "the bar")),
                (264, "TuxMake; an arrow: off the axis, where its number says"),
            )
        ),
    ]


def _axis(end: float, height: int) -> list[str]:
    lines = []
    for number in range(int(end / 0.5) + 1):
        x = _x(number * 0.5, end)
        kind = "one" if number == 2 else "grid"
        lines.append(f'<line class="{kind}" x1="{x}" y1="{TOP - 6}" x2="{x}" y2="{height - 18}"/>')
        lines.append(f'<text class="small" x="{x}" y="{height - 5}" text-anchor="middle">{number * 0.5:g}</text>')
    return lines


def _row(verdict: Verdict, y: int, end: float) -> list[str]:
    assert verdict.ratio is not None
    kind = {True: "good", False: "bad", None: "open"}[verdict.met]
    title = escape(_short(verdict.row.title))
    width = max(1.0, _x(verdict.ratio, end) - LEFT)
    value = f"{verdict.ratio:.2f}" if verdict.ratio >= 0.1 else f"{verdict.ratio:.3f}"
    at = max([_x(verdict.ratio, end), *([_x(verdict.limit, end)] if verdict.limit is not None else [])])
    lines = [
        f'<text x="{LEFT - 10}" y="{y + 15}" text-anchor="end">{title}</text>',
        f'<rect class="{kind}" x="{LEFT}" y="{y + 3}" width="{width:.1f}" height="16" rx="2"/>',
    ]
    if verdict.limit is not None:
        x = _x(verdict.limit, end)
        lines.append(f'<line class="bar" x1="{x}" y1="{y - 1}" x2="{x}" y2="{y + 23}"/>')
    if verdict.tuxmake is not None and verdict.reference:
        theirs = verdict.tuxmake / verdict.reference
        x = _x(theirs, end)
        if theirs > end:
            lines.append(f'<path class="tux" d="M{x - 4} {y + 6}l9 5l-9 5z"/>')
            lines.append(f'<text class="small" x="{x + 9}" y="{y + 15}">{theirs:.1f}</text>')
        else:
            lines.append(f'<circle class="tux" cx="{x}" cy="{y + 11}" r="4"/>')
            at = max(at, x)
    return [*lines, f'<text class="small" x="{at + 8:.1f}" y="{y + 15}">{value}</text>']


def _short(title: str) -> str:
    """A row's title without what is in brackets."""
    return title.partition(" (")[0].replace("splitting and packing a full", "packing a")
