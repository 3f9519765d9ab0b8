"""What is tried where the engine's build cache lacks results that it has records of, cheapest first.

What a failed solve has read can be in use until the engine is started again, so that no prune removes its record; then
the step is made again beside it, and later builds take the newer result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from builder import replan
from builder.caches import CacheStore, forget_named
from builder.engine.events import EXPORT
from builder.errors import EngineError
from builder.graph import IMAGES
from builder.stagenames import STAGES, shown_as, shown_stage, takes_from

_DAMAGED = "the engine's build cache is damaged"
_RESULTS = frozenset({*(name for name in STAGES if name.endswith("-package")), *IMAGES, "release"})
"""What is exported, and what it is put together of: no compile is among it."""


class Mending:
    """The tries of one solve.

    Args:
        plan: Its bake file.
        store: The engine's build cache; None where it has none to prune.
        warn: Told what is done, and what it costs.
    """

    def __init__(self, plan: Mapping[str, Any], store: CacheStore | None, warn: Callable[[str], None]) -> None:
        self._plan = plan
        self._store = store
        self._warn = warn
        self._done = 0

    def next(self, what: str, failed: str) -> Mapping[str, Any]:
        """The bake file of the next try: it does without what is lost.

        Args:
            what: BuildKit's message.
            failed: The stage that failed; empty when BuildKit tells of none.
        """
        self._done += 1
        if self._done == 1 and self._forgotten(what):
            self._warn(f"{_DAMAGED}: what it has lost is made again")
            return self._plan
        self._done = max(self._done, 2)
        if self._done == 2 and failed:
            stages = self._suspects(failed)
            named = "packages, images" if failed == EXPORT else ", ".join(stages)
            self._warn(f"{_DAMAGED}: {named} and their cache mounts are made again")
            return replan.uncached(self._plan, stages)
        self._warn(f"{_DAMAGED}: all stages and their cache mounts are made again")
        return replan.uncached(self._plan)

    def _forgotten(self, what: str) -> bool:
        with suppress(EngineError):  # then it is done without
            return self._store is not None and bool(forget_named(self._store, what))
        return False

    def _suspects(self, failed: str) -> list[str]:
        """What may be lost: what is exported; or a stage and what it takes from, which it fails to read."""
        dockerfile = next(iter(self._plan["target"].values())).get("dockerfile")
        text = Path(dockerfile).read_text() if dockerfile else ""
        if failed == EXPORT:
            return shown_as(text, _RESULTS)
        stage = failed.partition("@")[0]
        return sorted({stage, *takes_from(text).get(shown_stage(stage), set())})
