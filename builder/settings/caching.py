"""Settings of the caches that machines share."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import (
    BeforeValidator,
    Field,
    model_validator,
)

from builder.settings.grammar import (
    CCACHE_REMOTE,
    CCACHE_SIZE,
    CacheEntry,
    FilePath,
    Problem,
    Section,
    without_password,
)


class CompilerCache(Section):
    """The compiler's own cache (ccache), which the compile works with."""

    size: Annotated[str, CCACHE_SIZE] = Field(
        default="10G",
        description="How large it may grow, as ccache's max_size (`0`: without limit); another one runs the compile",
    )
    remote: Annotated[str, CCACHE_REMOTE, BeforeValidator(without_password)] | None = Field(
        default=None,
        description="One that machines share: `redis://host:port` or `http://host/path`, no password in it",
    )
    secret_file: FilePath | None = Field(
        default=None, description="Instead of `remote`: a file that holds the whole address, with its password"
    )

    @model_validator(mode="after")
    def _one_remote(self) -> Self:
        if self.remote and self.secret_file:
            raise Problem("remote and secret_file are two addresses", "remove one of them", "secret_file")
        return self


class Cache(Section):
    """What machines share of their caches, and how large they grow."""

    sources: tuple[CacheEntry, ...] = Field(
        default=(),
        alias="from",
        description="Where finished stages are taken from: `registry.example/acme/cache:6.12`, a folder (`/path`, "
        "`./path`) or BuildKit's `type=…,key=value`",
    )
    targets: tuple[CacheEntry, ...] = Field(
        default=(), alias="to", description="Where a build puts its finished stages, in the same forms"
    )
    compiler: CompilerCache = Field(default_factory=CompilerCache, description="The compiler's own cache")
