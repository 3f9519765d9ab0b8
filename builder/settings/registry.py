"""Settings of the registries that images are pushed to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import (
    Field,
    GetJsonSchemaHandler,
    model_validator,
)
from pydantic_core import CoreSchema

from builder.settings.grammar import (
    MOVING_TAG,
    PREFIX,
    REGISTRY_HOST,
    REPOSITORY,
    FilePath,
    Problem,
    Section,
)


class Registry(Section):
    """A registry to push to; in the settings also as one text, `host[:port][/prefix]`."""

    host: Annotated[str, REGISTRY_HOST] = Field(description="`host[:port]`")
    prefix: Annotated[str, PREFIX] = Field(default="", description="What stands before the org in its repositories")
    ca: FilePath | None = Field(
        default=None, description="File with the certificates (PEM) of a private CA that its TLS is trusted by"
    )
    plain_http: bool = Field(default=False, description="Talk to it without TLS; on loopback that needs no setting")
    moving_tags: tuple[Annotated[str, MOVING_TAG], ...] = Field(
        default=(),
        description="Tags that follow the newest release, with `{series}` (6.12), `{version}`, `{suffix}` in them",
    )

    def __str__(self) -> str:
        return f"{self.host}/{self.prefix}" if self.prefix else self.host

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        if "://" in value or "@" in value:
            raise Problem(f"{value!r} is not {REGISTRY_HOST.what}", REGISTRY_HOST.how)
        host, slash, prefix = value.partition("/")
        if slash and not prefix:
            raise Problem(f"{value!r} ends in a slash", REGISTRY_HOST.how)
        return {"host": host, "prefix": prefix}

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        mapping = handler.resolve_ref_schema(handler(schema))
        text = {"type": "string", "pattern": f"^{REGISTRY_HOST.pattern}(?:/{REPOSITORY})?$"}
        return {"anyOf": [text, mapping], "description": "`host[:port][/prefix]`, or the same as a mapping"}


def as_known(named: Registry, entries: Sequence[Registry]) -> Registry:
    """A registry that was named by host and prefix alone, with what the settings say of that host."""
    known = [entry for entry in entries if entry.host == named.host]
    same = next((entry for entry in known if entry.prefix == named.prefix), known[0] if known else named)
    return same.model_copy(update={"prefix": named.prefix})
