"""What a proof of reproducibility is asked for, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from builder.differ import Difference

REPORT = "repro.log"
"""The file of `dist` with all that the last `rosk repro` found, when that was something."""


@dataclass(frozen=True, kw_only=True)
class ReproOptions:
    """How to prove.

    Attributes:
        toolchain: Take the toolchain's packages and the source anew too.
        keep: A folder that receives the second build's files; None: they are not kept.
        allow_install: What is missing on this machine may be installed and started.
        builder: A builder of buildx to solve with; the engine's own when None.
        as_json: Print the result as one JSON object, and nothing else on standard output.
    """

    toolchain: bool = False
    keep: Path | None = None
    allow_install: bool = True
    builder: str | None = None
    as_json: bool = False
    quiet: bool = False
    verbose: bool = False


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One thing that both builds made: a file of `dist`, or an image; a digest is empty where there is none."""

    name: str
    first: str
    second: str

    @property
    def same(self) -> bool:
        return self.first == self.second


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What came of it.

    Attributes:
        compared: Every file and image.
        inputs: What the two builds did not have in common from their start, a line each (packages of the toolchain).
        differences: What differs, where something does.
        notices: What of the config is known to make builds differ.
    """

    compared: tuple[Compared, ...]
    inputs: tuple[str, ...] = ()
    differences: tuple[Difference, ...] = ()
    notices: tuple[str, ...] = ()

    @property
    def reproducible(self) -> bool:
        return all(each.same for each in self.compared)
