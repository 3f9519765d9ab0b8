"""Push the images of a build to registries. One that fails does not stop the others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import requests

from builder.engine.base import Engine
from builder.engine.docker import no_client_left
from builder.errors import EngineError, PublishError
from builder.settings import Registry

ANSWER_SECONDS = 15.0
"""How long a registry may take to answer at all."""


@dataclass(frozen=True, kw_only=True)
class Push:
    """One tag at one registry; `error` is empty when it is there."""

    reference: str
    error: str = ""


def push_images(
    engine: Engine, images: Sequence[str], registries: Sequence[Registry], *, say: Callable[[str], None]
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
    stopped = threading.Event()

    def push_all(registry: Registry) -> list[Push]:
        return _push_all(engine, images, registry, say, stopped)

    with ThreadPoolExecutor(max_workers=max(1, len(registries))) as pool, no_client_left():
        try:
            done = [push for pushes in pool.map(push_all, registries) for push in pushes]
        except BaseException:
            stopped.set()
            raise
    failed = [push for push in done if push.error]
    if failed:
        pushed = [f"pushed:     {push.reference}" for push in done if not push.error]
        raise PublishError(
            f"{len(failed)} of {len(done)} images were not pushed",
            hint="the release in dist is complete; run the same command again when the registry answers",
            details=[*pushed, *(f"not pushed: {push.reference}: {push.error}" for push in failed)],
        )
    return done


def _push_all(
    engine: Engine, images: Sequence[str], registry: Registry, say: Callable[[str], None], stopped: threading.Event
) -> list[Push]:
    """Push to one registry; after its first failure the rest is given up, since it would wait as long again."""
    done: list[Push] = []
    deaf = _deaf(registry)
    for image in images:
        if stopped.is_set():
            break
        reference = f"{registry}/{image}"
        if deaf:
            push = Push(reference=reference, error=deaf)
        elif done and done[-1].error:
            push = Push(reference=reference, error="given up after the failure before")
        else:
            push = _push(engine, image, reference)
        say(f"pushed {reference}" if not push.error else f"not pushed: {reference}: {push.error}")
        done.append(push)
    return done


def _deaf(registry: Registry) -> str:
    """Why there is no use in trying: the registry takes connections or packets, and never answers.

    docker waits for such an answer without end. Whatever else is wrong (no TLS, a certificate, a login) is left to
    docker, which knows better.
    """
    for scheme in ("https", "http"):
        try:
            url = f"{scheme}://{registry.host}/v2/"
            # An `auth` that does nothing keeps requests from sending what ~/.netrc has for this host.
            requests.get(url, timeout=ANSWER_SECONDS, allow_redirects=False, auth=lambda request: request)
        except requests.Timeout:
            return f"no answer from {registry.host} in {ANSWER_SECONDS:g} s"
        except requests.RequestException:
            continue
        return ""
    return ""


def _push(engine: Engine, image: str, reference: str) -> Push:
    try:
        had = engine.image_id(reference) is not None
        engine.tag(image, reference)
        try:
            engine.push(reference)
        finally:
            if not had:
                engine.untag(reference)
    except EngineError as error:
        return Push(reference=reference, error=error.what)
    return Push(reference=reference)
