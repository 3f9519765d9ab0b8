"""The raw numbers, kept in `results.json` from the first sample on."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.rows import Row

FORMAT = 1

Sample = dict[str, Any]
"""`seconds`, and for rosk what ran: `ran`, `cached`, `compiled`; for packing `sizes` and `bytes`."""


@dataclass(kw_only=True)
class Results:
    """What a run has measured.

    Attributes:
        kind: `full`, `quick` (a small kernel) or `fake` (a made-up one: the numbers mean nothing).
        date: When the run began, UTC, ISO 8601.
        machine: What it ran on; `versions`: of what.
        facts: What else the page says, a sentence each.
        samples: Row name to side to its samples.
        missing: Why a row could not be measured, by its name.
        notes: What is to be known of a row, by its name.
    """

    kind: str
    date: str
    machine: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    facts: list[str] = field(default_factory=list)
    samples: dict[str, dict[str, list[Sample]]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)

    def add(self, row: str, side: str, sample: Sample) -> None:
        self.samples.setdefault(row, {}).setdefault(side, []).append(sample)
        self.missing.pop(row, None)

    def note(self, row: str, text: str) -> None:
        """Say something of a row, once."""
        said = self.notes.setdefault(row, [])
        if text not in said:
            said.append(text)

    def of(self, row: str, side: str) -> list[Sample]:
        return self.samples.get(row, {}).get(side, [])

    def repeated(self, row: Row) -> int:
        """How often a row was measured whole: rosk is the last side of each repetition."""
        return len(self.of(row.name, "rosk"))


def load(file: Path) -> Results:
    """Read results.

    Raises:
        ValueError: It is another file, or of another version of the benchmark.
    """
    content = json.loads(file.read_text())
    if not isinstance(content, dict) or content.pop("format", None) != FORMAT:
        raise ValueError(f"{file} has no results of this benchmark")
    return Results(**content)


def save(results: Results, file: Path) -> None:
    """Write results, as a whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_suffix(".new")
    temporary.write_text(json.dumps({"format": FORMAT, **asdict(results)}, indent=1, ensure_ascii=False) + "\n")
    temporary.replace(file)
