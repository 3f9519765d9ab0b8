"""Push the images of a build to registries. One that fails does not stop the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from builder.engine.docker import Docker
from builder.errors import EngineError, PublishError
from builder.settings import Registry


@dataclass(frozen=True, kw_only=True)
class Push:
    """One tag at one registry; `error` is empty when it is there."""

    reference: str
    error: str = ""


def push_images(
    engine: Docker, images: Sequence[str], registries: Sequence[Registry], *, say: Callable[[str], None]
) -> list[Push]:
    """Push every image to every registry, the registries side by side.

    Args:
        images: Local tags (`org/os-kernel:V`).
        say: Called with a line for each tag that was pushed or was not.

    Returns:
        What was pushed, in the order of registries and images.

    Raises:
        PublishError: At least one push failed. Its details name what was pushed and what was not.
    """
    with ThreadPoolExecutor(max_workers=max(1, len(registries))) as pool:
        done = [
            push for pushes in pool.map(lambda to: _push_all(engine, images, to, say), registries) for push in pushes
        ]
    failed = [push for push in done if push.error]
    if failed:
        pushed = [f"pushed:     {push.reference}" for push in done if not push.error]
        raise PublishError(
            f"{len(failed)} of {len(done)} images were not pushed",
            hint="the release in dist is complete; run the same command again when the registry answers",
            details=[*pushed, *(f"not pushed: {push.reference}: {push.error}" for push in failed)],
        )
    return done


def _push_all(engine: Docker, images: Sequence[str], registry: Registry, say: Callable[[str], None]) -> list[Push]:
    """Push to one registry; after its first failure the rest is given up, since it would wait as long again."""
    done: list[Push] = []
    for image in images:
        reference = f"{registry}/{image}"
        if done and done[-1].error:
            push = Push(reference=reference, error="given up after the failure before")
        else:
            push = _push(engine, image, reference)
        say(f"pushed {reference}" if not push.error else f"not pushed: {reference}: {push.error}")
        done.append(push)
    return done


def _push(engine: Docker, image: str, reference: str) -> Push:
    try:
        engine.tag(image, reference)
        engine.push(reference)
    except EngineError as error:
        return Push(reference=reference, error=error.what)
    finally:
        with suppress(EngineError):
            engine.untag(reference)
    return Push(reference=reference)
