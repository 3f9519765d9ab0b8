"""The settings of what is published where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest

from builder.errors import InputError
from builder.schema import settings_schema
from builder.settings import Registry, Settings, load_settings
from builder.settings.registry import as_known

MINIMAL = "org: acme\nkernel: {version: '6.12'}\n"


def load(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "rosk.yaml"
    path.write_text(MINIMAL + text)
    return load_settings(path)


def test_all_keys(tmp_path: Path) -> None:
    text = """\
registries:
  - r.example/a
  - {host: "s.example:5000", prefix: b, ca: certs/ca.pem, plain_http: true, moving_tags: ["{series}", latest]}
publish:
  folders: [/srv/kernels, ../there]
  http:
    - {url: "https://files.example/kernels", user: mira, password_env: PASSWORD, ca: ca.pem}
    - {url: "https://other.example", token_env: TOKEN}
  github:
    - {repository: acme/kernels}
    - {repository: acme/kernels, api: "https://git.example/api/v3", token_env: OTHER, prerelease: true}
"""
    found = load(tmp_path, text)
    assert found.registries[1] == Registry(
        host="s.example:5000", prefix="b", ca=Path("certs/ca.pem"), plain_http=True, moving_tags=("{series}", "latest")
    )
    assert found.publish.http[0].password_env == "PASSWORD"
    assert (found.publish.github[0].token_env, found.publish.github[1].prerelease) == ("GITHUB_TOKEN", True)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("registries: [{host: r.example, moving_tags: ['a b']}]\n", "'a b' is not a tag"),
        ("registries: [{host: r.example, moving_tags: ['{serie}']}]\n", "is not a tag"),
        ("publish: {http: [{url: 'ftp://f.example'}]}\n", "address of a folder"),
        ("publish: {http: [{url: 'https://f.example', user: mira}]}\n", "belong together"),
        ("publish: {http: [{url: 'https://f.example', user: m, password_env: P, token_env: T}]}\n", "two ways in"),
        ("publish: {github: [{repository: acme}]}\n", "repository of GitHub"),
        ("publish: {github: [{repository: a/b, token_env: 'ghp-123'}]}\n", "name of an environment variable"),
        ("publish: {github: [{repository: a/b, tokn: x}]}\n", "unknown key"),
    ],
)
def test_mistakes(text: str, what: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=what):
        load(tmp_path, text)


def test_the_schema_knows_them() -> None:
    settings: dict[str, Any] = {
        "org": "acme",
        "kernel": {},
        "registries": [{"host": "r.example", "ca": "ca.pem", "moving_tags": ["{series}"]}],
        "publish": {"folders": ["x"], "github": [{"repository": "a/b"}]},
    }
    jsonschema.validate(settings, settings_schema())
    settings["registries"][0]["moving_tags"] = ["{x}"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(settings, settings_schema())


def test_a_registry_of_the_command_line_is_spoken_to_as_the_settings_say() -> None:
    entries = [Registry(host="r.example", prefix="a", plain_http=True), Registry(host="r.example", prefix="b")]
    assert as_known(Registry(host="r.example", prefix="b"), entries) == entries[1]
    assert as_known(Registry(host="r.example", prefix="c"), entries) == Registry(
        host="r.example", prefix="c", plain_http=True
    )
    assert as_known(Registry(host="s.example"), entries) == Registry(host="s.example")
