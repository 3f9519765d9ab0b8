"""A folder that holds releases, a folder V-A for each: it appears there as a whole."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from builder.files import uninterrupted
from builder.inputs.store import file_sha256
from builder.publish.artifact import ReleaseFile
from builder.publish.sources import Release
from builder.publish.targets import folder_name, sums_of
from builder.publish.transfer import Outcome, State, Watch


class FolderTarget:
    """Copies releases into a folder, which is made when it is not there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = f"folder:{folder}"

    def publish(self, releases: Sequence[Release], *, overwrite: bool, dry_run: bool, watch: Watch) -> list[Outcome]:
        """Bring releases there; see `FileTarget`."""
        return [self._one(release, overwrite, dry_run, watch) for release in releases]

    def _one(self, release: Release, overwrite: bool, dry_run: bool, watch: Watch) -> Outcome:
        place = self.folder / folder_name(release)

        def outcome(state: State, why: str = "") -> Outcome:
            digest = f"sha256:{sums_of(release.files).sha256}"
            return Outcome(target=self.name, reference=str(place), digest=digest, state=state, why=why)

        try:
            if place.exists():
                if all(_same(place / file.name, file) for file in release.files):
                    return outcome(State.THERE)
                if not overwrite:
                    return outcome(State.REFUSED, "it is there with other content (--overwrite replaces it)")
            if dry_run:
                return outcome(State.WOULD)
            self._copy(release, place, watch)
        except OSError as error:
            said = f"{error.strerror or error}: {error.filename}" if error.filename else str(error)
            return outcome(State.FAILED, said)
        return outcome(State.SENT)

    def _copy(self, release: Release, place: Path, watch: Watch) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        watch.begin(self.name, sum(file.size for file in release.files), f"{len(release.files)} files")
        work = Path(tempfile.mkdtemp(prefix=".rosk-", dir=self.folder))
        try:
            new = work / "new"
            (new / "kernel").mkdir(parents=True)
            for file in release.files:
                with (new / file.name).open("wb") as out:
                    for piece in file.blob.open():
                        out.write(piece)
                        watch.advance(self.name, len(piece))
                if not _same(new / file.name, file):
                    raise OSError(f"{file.name} is not what it was: was the release replaced meanwhile?")
            new.chmod(0o755)
            with uninterrupted():
                if place.exists():
                    place.rename(work / "old")
                new.rename(place)
        finally:
            if (work / "old").exists() and not place.exists():
                (work / "old").rename(place)
            shutil.rmtree(work, ignore_errors=True)


def _same(path: Path, file: ReleaseFile) -> bool:
    if path.is_symlink() or not path.is_file() or path.stat().st_size != file.size:
        return False
    return file_sha256(path) == file.sha256
