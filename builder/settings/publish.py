"""Settings of where the files of a release are published, beside the registries."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from builder.settings.grammar import GITHUB, PUBLISH_URL, VARIABLE, FilePath, Problem, Section


class HttpTarget(Section):
    """A folder on a server that takes files by WebDAV, or by PUT alone."""

    url: Annotated[str, PUBLISH_URL] = Field(description="Address of the folder that holds the releases")
    user: str = Field(default="", description="User for HTTP's basic authentication")
    password_env: Annotated[str, VARIABLE] | None = Field(
        default=None, description="Environment variable with the user's password"
    )
    token_env: Annotated[str, VARIABLE] | None = Field(
        default=None, description="Environment variable with a token, sent as `Authorization: Bearer`"
    )
    ca: FilePath | None = Field(default=None, description="File with the certificates (PEM) of a private CA")
    plain_http: bool = Field(default=False, description="`http://` may be used; on loopback that needs no setting")

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if self.token_env and (self.user or self.password_env):
            raise Problem("a token and a user are two ways in", "remove one of them", "token_env")
        if bool(self.user) != bool(self.password_env):
            raise Problem("user and password_env belong together", "give both, or none", "user")
        return self


class GithubTarget(Section):
    """A repository whose releases take the files."""

    repository: Annotated[str, GITHUB] = Field(description="`owner/name`")
    api: Annotated[str, PUBLISH_URL] = Field(
        default="https://api.github.com", description="Base URL of the API; of GitHub Enterprise: https://HOST/api/v3"
    )
    token_env: Annotated[str, VARIABLE] = Field(
        default="GITHUB_TOKEN", description="Environment variable with a token that may write the repository's releases"
    )
    ca: FilePath | None = Field(default=None, description="File with the certificates (PEM) of a private CA")
    prerelease: bool = Field(default=False, description="Mark the releases as not for production")


class Publish(Section):
    """Where `rosk publish` puts the files of a release, beside the registries."""

    folders: tuple[FilePath, ...] = Field(
        default=(), description="Folders, relative to the project's folder; each release gets a folder V-A there"
    )
    http: tuple[HttpTarget, ...] = Field(
        default=(),
        description="Servers: each `url`, and `user` with `password_env` or `token_env`, `ca`, `plain_http`",
    )
    github: tuple[GithubTarget, ...] = Field(
        default=(), description="Releases of GitHub: each `repository`, and `api`, `token_env`, `ca`, `prerelease`"
    )
