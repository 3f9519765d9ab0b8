"""A build that fails leaves no tag with an image of its own."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import pytest

from builder.errors import EngineError, InterruptedBuild, VerifyError
from builder.imagetags import ImageTags

TAGS = ("acme/os-kernel:1", "acme/os-extras:1")


class Engine:
    """Stands in for the engine: its images by their IDs, and what their names mean."""

    def __init__(self, images: set[str], names: dict[str, str]) -> None:
        self.images, self.names = images, names
        self.dead, self.busy = False, ""

    def image_ids(self, references: Sequence[str]) -> dict[str, str]:
        found = {name: self.names[name] for name in references if name in self.names}
        return found if len(found) == len(references) else {}

    def image_id(self, reference: str) -> str | None:
        if self.dead:
            raise EngineError("no engine answers")
        return self.names.get(reference)

    def tag(self, image: str, reference: str) -> None:
        if image not in self.images:
            raise EngineError("no such image")
        self.names[reference] = image

    def untag(self, reference: str) -> None:
        if reference == self.busy:
            raise EngineError("image is being used by running container")
        del self.names[reference]


def fails(engine: Engine, error: BaseException, new: dict[str, str]) -> list[str]:
    """Run a build that gives names to new images and fails then; what the user is told."""
    told: list[str] = []
    with pytest.raises(type(error)), ImageTags(engine, TAGS, told.append) as tags:  # type: ignore[arg-type]
        tags._before.result()
        engine.images |= set(new.values())
        engine.names |= new
        for tag in new:
            tags.note(f"docker.io/{tag}")
        raise error
    return told


@pytest.mark.parametrize("error", [VerifyError("bad"), InterruptedBuild("stopped"), KeyboardInterrupt(), OSError()])
def test_the_images_before_have_their_names_again(error: BaseException) -> None:
    before = {TAGS[0]: "sha256:1", TAGS[1]: "sha256:2"}
    engine = Engine(set(before.values()), dict(before))
    assert fails(engine, error, {TAGS[0]: "sha256:3"}) == []
    assert engine.names == before


def test_a_name_whose_image_is_gone_is_taken_away() -> None:
    engine = Engine({"sha256:2"}, {TAGS[0]: "sha256:1", TAGS[1]: "sha256:2"})
    (told,) = fails(engine, VerifyError("bad"), {TAGS[0]: "sha256:3"})
    assert TAGS[0] in told
    assert engine.names == {TAGS[1]: "sha256:2"}


def test_the_first_build_leaves_no_name() -> None:
    engine = Engine(set(), {"acme/other:1": "sha256:9"})
    assert fails(engine, VerifyError("bad"), dict.fromkeys(TAGS, "sha256:3")) == []
    assert engine.names == {"acme/other:1": "sha256:9"}


def test_one_of_two_names_was_there() -> None:
    engine = Engine({"sha256:1"}, {TAGS[0]: "sha256:1"})
    fails(engine, VerifyError("bad"), {TAGS[1]: "sha256:3"})
    assert engine.names == {TAGS[0]: "sha256:1"}


def test_a_build_that_ends_well_keeps_them() -> None:
    engine = Engine({"sha256:1"}, {TAGS[0]: "sha256:1"})
    with ImageTags(engine, TAGS, pytest.fail):  # type: ignore[arg-type]
        engine.names |= dict.fromkeys(TAGS, "sha256:3")
    assert engine.names == dict.fromkeys(TAGS, "sha256:3")


def test_what_another_build_has_named_is_its_own() -> None:
    """One that has another cache folder, and so another lock: this one has failed before it had an image."""
    engine = Engine({"sha256:1"}, {TAGS[0]: "sha256:1"})
    with pytest.raises(VerifyError), ImageTags(engine, TAGS, pytest.fail) as tags:  # type: ignore[arg-type]
        tags._before.result()
        tags.note("docker.io/library/other:1")
        engine.names |= dict.fromkeys(TAGS, "sha256:3")
        raise VerifyError("bad")
    assert engine.names == dict.fromkeys(TAGS, "sha256:3")


@pytest.mark.parametrize("busy", TAGS)
def test_a_name_that_cannot_be_taken_away_keeps_no_other(busy: str) -> None:
    """A container uses the image."""
    engine = Engine(set(), {})
    engine.busy = busy
    fails(engine, VerifyError("bad"), dict.fromkeys(TAGS, "sha256:3"))
    assert engine.names == {busy: "sha256:3"}


def test_an_engine_that_is_gone_hides_no_error() -> None:
    engine = Engine(set(), {})
    with pytest.raises(VerifyError), ImageTags(engine, TAGS, pytest.fail) as tags:  # type: ignore[arg-type]
        tags.note(TAGS[0])
        engine.dead = True
        raise VerifyError("bad")


def test_what_was_there_could_not_be_asked() -> None:
    engine = Engine(set(), {})
    engine.dead = True
    with suppress(VerifyError), ImageTags(engine, TAGS, pytest.fail) as tags:  # type: ignore[arg-type]
        with suppress(EngineError):
            tags._before.result()
        engine.dead = False
        tags.note(TAGS[0])
        engine.names |= dict.fromkeys(TAGS, "sha256:3")
        raise VerifyError("bad")
    assert engine.names == dict.fromkeys(TAGS, "sha256:3")
