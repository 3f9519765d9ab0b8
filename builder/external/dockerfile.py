"""The Dockerfile of a project with external modules: a stage for each, between the headers and the split.

Only their names are in it, of which the settings take no others than may be names of stages; all else about a module is
in a file that its stage copies.
"""

from __future__ import annotations

from collections.abc import Sequence

_PLACE = "FROM compile AS external\n"
"""In kernel.Dockerfile: the modules of a project that has no external ones."""
_STAGE = """\
FROM external-base AS module-{name}
COPY --from=rosk-programs stages/maketools.py /rosk/builder/stages/
ARG COMPILER=gcc
ARG MAKE_VARIABLES=
ARG CCACHE_MAXSIZE=10G
COPY --from=rosk-inputs modules/{name}.json /in/module.json
{earlier}\
RUN --mount=type=bind,from=rosk-input-{name},target=/input \\
    --mount=type=cache,id=rosk-ccache${{CACHE_SCOPE}},target=/ccache \\
    --mount=type=cache,id=rosk-log,target=/log \\
    --mount=type=secret,id=ccache,target=/run/secrets/ccache.conf \\
    python3 -m builder.stages.external --module /in/module.json --input /input --told /in/told \\
    --release "${{RELEASE}}" --arch "${{ARCH}}" --cross-compile="${{CROSS_COMPILE}}" --compiler "${{COMPILER}}" \\
    --make-variables="${{MAKE_VARIABLES}}" --epoch "${{EPOCH}}" \\
    --toolchain /out/packages --ccache /ccache --ccache-config /run/secrets/ccache.conf --log /log --out /out/module

"""


def with_modules(dockerfile: str, names: Sequence[str]) -> str:
    """kernel.Dockerfile with the stages of these modules, in this order.

    Each module sees what those before it export (KBUILD_EXTRA_SYMBOLS, Documentation/kbuild/modules.rst); it is built
    again for their sake only when that changed.
    """
    if not names:
        return dockerfile
    assert dockerfile.count(_PLACE) == 1
    stages = [_stage(name, names[:number]) for number, name in enumerate(names)]
    copies = [f"COPY --from=module-{name} /out/module/modules /out/modules\n" for name in names]
    merged = ["FROM tools AS external\n", "COPY --from=compile /out/modules /out/modules\n", *copies]
    return dockerfile.replace(_PLACE, "".join([*stages, *merged]))


def _stage(name: str, before: Sequence[str]) -> str:
    earlier = "".join(f"COPY --from=module-{other} /out/module/told /in/told\n" for other in before)
    return _STAGE.format(name=name, earlier=earlier)
