"""An external module's source, as a build is given it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builder.settings.external import ExternalModule


@dataclass(frozen=True, kw_only=True)
class ModuleSource:
    """A source that is there.

    Attributes:
        wanted: The settings.
        folder: What BuildKit is given: the source itself, or its archive alone in a folder.
        archive: It is an archive.
        origin: Where it is from, for people.
        revision: git's commit, where it has one.
        sha256: Of the archive, or of all that is in the folder (hexadecimal).
    """

    wanted: ExternalModule
    folder: Path
    archive: bool
    origin: str
    revision: str
    sha256: str

    @property
    def name(self) -> str:
        return self.wanted.name

    def recipe(self) -> Mapping[str, Any]:
        """What its stage is told, as JSON (`builder.stages.external`)."""
        wanted = self.wanted
        return {
            "name": wanted.name,
            "archive": self.archive,
            "subdir": wanted.subdir,
            "make": dict(sorted(wanted.make.items())),
            "install": wanted.install,
        }

    def as_json(self) -> dict[str, Any]:
        """What the manifest says of it."""
        return {
            "name": self.name,
            "source": self.wanted.source,
            "from": self.origin,
            "revision": self.revision or None,
            "sha256": self.sha256,
        }
