"""Where the files of a release go beside registries: a folder, a server, a release of GitHub."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from builder.publish.artifact import SUMS, ReleaseFile
from builder.publish.sources import Release
from builder.publish.transfer import Outcome, Watch


class FileTarget(Protocol):
    """A place for files.

    `publish` brings releases there and says what is there then, an outcome for each release or group of them. It
    raises `Stopped` only; what fails is an outcome.
    """

    name: str

    def publish(
        self, releases: Sequence[Release], *, overwrite: bool, dry_run: bool, watch: Watch
    ) -> list[Outcome]: ...


def folder_name(release: Release) -> str:
    """A release's folder among others: V-A."""
    return f"{release.v}-{release.a}"


def sums_of(files: Sequence[ReleaseFile]) -> ReleaseFile:
    """The file that says of all others what they are: it is sent last, and its digest names the release."""
    return next(file for file in files if file.name == SUMS)
