from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from builder.errors import InputError
from builder.inputs.kernelorg import AUTOSIGNER, MIRRORS
from builder.schema import SCHEMA_FILE, main, schema_text, settings_schema, settings_table
from builder.settings import Registry, Settings, load_settings

ROOT = Path(__file__).parents[2]
KERNEL = 'kernel: {source: debian, version: "6.12"}\n'
MINIMAL = f"org: acme\n{KERNEL}"


@pytest.fixture
def load(tmp_path: Path) -> Any:
    """`load_settings` of a text."""

    def call(text: str | bytes) -> Settings:
        path = tmp_path / "config" / "rosk.yaml"
        path.parent.mkdir()
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return load_settings(path)

    return call


@pytest.fixture
def refuse(load: Any) -> Any:
    """The error that a text gives: `line: what`."""

    def call(text: str | bytes) -> tuple[str, InputError]:
        with pytest.raises(InputError) as caught:
            load(text)
        error = caught.value
        assert isinstance(error.where, Path)
        assert error.where.name == "rosk.yaml"
        assert error.hint
        assert "\n" not in error.what + error.hint
        return f"{error.line}: {error.what}", error

    return call


def test_the_default_project() -> None:
    settings = load_settings(ROOT / "config/rosk.yaml")
    assert settings.org == "rosk"
    assert settings.localversion == "-rosk"
    assert (settings.kernel.source, settings.kernel.version) == ("debian", "6.12")
    assert (settings.toolchain.suite, settings.toolchain.base) == ("auto", "auto")
    assert settings.firmware.source == "debian"
    assert settings.registries == ()


def test_the_schema_file_is_current() -> None:
    """When this fails, run `python -m builder.schema`."""
    assert (ROOT / SCHEMA_FILE).read_text() == schema_text()


def test_the_schema_file_is_written(tmp_path: Path) -> None:
    main([str(tmp_path / "schema.json")])
    assert json.loads((tmp_path / "schema.json").read_text()) == settings_schema()


def test_the_default_project_fits_the_schema() -> None:
    text = (ROOT / "config/rosk.yaml").read_text()
    assert text.startswith("# yaml-language-server: $schema=rosk.schema.json\n")
    jsonschema.Draft202012Validator.check_schema(settings_schema())
    jsonschema.validate(yaml.safe_load(text), settings_schema())


@pytest.mark.parametrize(
    "data",
    [
        {"org": "Acme", "kernel": {}},
        {"org": "acme"},
        {"org": "acme", "kernel": {"surce": "debian"}},
        {"org": "acme", "kernel": {}, "registries": ["https://registry.example"]},
        {"org": "acme", "kernel": {"sha256": "abc"}},
    ],
)
def test_the_schema_refuses(data: object) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(data, settings_schema())


def test_the_schema_accepts_registries_in_both_forms() -> None:
    registries = ["registry.example:5000/mirror", {"host": "localhost", "prefix": "a/b"}]
    jsonschema.validate({"org": "acme", "kernel": {}, "registries": registries}, settings_schema())


def test_every_key_has_a_meaning_in_the_table() -> None:
    rows = [line.split(" | ") for line in settings_table().splitlines()[2:]]
    keys = [row[0].removeprefix("| ") for row in rows]
    assert {"`org`", "`kernel.source`", "`firmware.packages`", "`registries`"} <= set(keys)
    assert all(len(row) >= 4 and row[-1].removesuffix(" |") for row in rows)
    assert "| `config.strict` | `true` \\| `false` | `false` |" in settings_table()


def test_what_is_left_out_has_its_default(load: Any) -> None:
    settings = load(MINIMAL)
    assert settings.kernel.mirrors == MIRRORS
    assert settings.kernel.signing_keys == (AUTOSIGNER,)
    assert (settings.toolchain.suite, settings.toolchain.compiler) == ("auto", "gcc")
    assert settings.config.fragments == ()
    assert settings.lists.unlisted == "error"
    assert settings.lists.softdeps == "report"
    assert settings.firmware.source == "none"
    assert settings.localversion == "-acme"


def test_every_key_can_be_given(load: Any) -> None:
    settings = load(f"""\
org: acme
suffix: Edge.1
kernel:
  source: kernel.org
  version: 6.12.64
  sha256: {"AB" * 32}
  mirrors: [https://mirror.example/kernel]
  signing_keys: ["b886 8c80 ba62 a1ff faf5  fda9 632d 3a06 589d a6b1"]
  keyring: keys/kernel.asc
toolchain: {{suite: bookworm, base: "registry.example:5000/debian:12", packages: [libelf-dev, g++]}}
config: {{fragments: [config/a, config/b], strict: true}}
lists: {{unlisted: extra, softdeps: pull}}
firmware: {{source: folder, path: ../linux-firmware, strict: true}}
registries:
  - registry.example:5000
  - ghcr.io/acme/kernels
  - {{host: "[::1]:5000", prefix: mirror}}
""")
    assert settings.localversion == "-Edge.1"
    assert settings.kernel.sha256 == "ab" * 32
    assert settings.kernel.signing_keys == (AUTOSIGNER,)
    assert settings.kernel.keyring == Path("keys/kernel.asc")
    assert settings.config.fragments == (Path("config/a"), Path("config/b"))
    assert settings.firmware.path == Path("../linux-firmware")
    assert settings.registries == (
        Registry(host="registry.example:5000"),
        Registry(host="ghcr.io", prefix="acme/kernels"),
        Registry(host="[::1]:5000", prefix="mirror"),
    )


def test_a_version_is_text_even_without_quotes(load: Any) -> None:
    assert load("org: acme\nkernel: {source: debian, version: 6.10}\n").kernel.version == "6.10"


def test_a_key_without_a_value_has_its_default(load: Any) -> None:
    settings = load(f"{MINIMAL}suffix:\nregistries:\nconfig:\n")
    assert (settings.suffix, settings.registries, settings.config.strict) == (None, (), False)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such file") as caught:
        load_settings(tmp_path / "config/rosk.yaml")
    assert "config/rosk.yaml" in caught.value.hint
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        load_settings(tmp_path)


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        (f"{MINIMAL}toolchian: {{}}\n", "3: unknown key toolchian", "did you mean toolchain?"),
        ("org: acme\nkernel:\n  sorce: debian\n", "3: unknown key kernel.sorce", "did you mean kernel.source?"),
        (f"{MINIMAL}version: 6.12\n", "3: unknown key version", "did you mean kernel.version?"),
        (f"{MINIMAL}lists:\n  zzz: 1\n", "4: unknown key lists.zzz", "the keys here are unlisted, softdeps"),
        (f"{MINIMAL}registries:\n- hots: a.b\n  host: a.b\n", "4: unknown key registries[1].hots", "registries.host?"),
        (KERNEL, "1: org is missing", "add it"),
        ("org: acme\n", "1: kernel is missing", "add it"),
        (f"{MINIMAL}config:\n  strict: yes\n", "4: config.strict must be true or false, not 'yes'", ""),
        (f"{MINIMAL}config:\n  fragments: a\n", "4: config.fragments must be a list, not 'a'", ""),
        (f"{MINIMAL}config: []\n", "3: config must be a mapping (further keys, indented), not a list", ""),
        (f"org: [a]\n{KERNEL}", "1: org must be text, not a list", ""),
        (f"{MINIMAL}config: {{fragments: [{{a: b}}]}}\n", "3: config.fragments[1] must be a path, not a mapping", ""),
        (f"{MINIMAL}config: {{fragments: ['']}}\n", "3: config.fragments[1]: the path is empty", ""),
        (f"{MINIMAL}config:\n  fragments:\n  - a\n  -\n", "6: config.fragments[2] must be a path, not None", ""),
        ("org: a\nkernel:\n  source: debain\n", "3: kernel.source: 'debain' is none of", "'debian', 'kernel.org'"),
        (f"org: Acme\n{KERNEL}", "1: org: 'Acme' is not a name for images", "a-z"),
        (f"org: acme.io\n{KERNEL}", "1: org: 'acme.io' is not a name for images", ""),
        (f"org: localhost\n{KERNEL}", "1: org: 'localhost' is not a name for images", ""),
        (f'org: "acme\\n"\n{KERNEL}', "1: org: 'acme\\n' is not a name for images", ""),
        (f"org: {'a' * 42}\n{KERNEL}", "1: org: the org is too long", "suffix"),
        (f"{MINIMAL}suffix: -acme\n", "3: suffix: '-acme' is not a suffix", "without the leading dash"),
        (f"{MINIMAL}suffix: {'a' * 42}\n", "3: suffix: ", "at most 41"),
        ("org: a\nkernel: {source: debian}\n", "2: kernel.source: source debian needs version", "add the key version"),
        ("org: a\nkernel:\n  source: tree\n", "3: kernel.source: source tree needs path", "add the key path"),
        ("org: a\nkernel:\n  source: tarball\n", "3: kernel.source: source tarball needs path", "add the key path"),
        (
            "org: a\nkernel:\n  version: '6.12'\n  path: x\n",
            "4: kernel.path: path has no meaning with source debian",
            "remove it",
        ),
        (
            "org: a\nkernel:\n  source: tree\n  path: x\n  version: '6'\n",
            "5: kernel.version: version has no meaning with source tree",
            "remove it",
        ),
        ("org: a\nkernel: {version: 6.12.1}\n", "2: kernel.version: '6.12.1' is not the series", "linux-source-6.12"),
        (
            "org: a\nkernel:\n  source: kernel.org\n  version: 6.13-rc1\n",
            "4: kernel.version: '6.13-rc1' is not a kernel.org release",
            "candidate",
        ),
        ("org: a\nkernel: {version: 6.12, sha256: abc}\n", "2: kernel.sha256: 'abc' is not a SHA-256", "64"),
        ("org: a\nkernel:\n  version: 6.12\n  mirrors: []\n", "4: kernel.mirrors: the list is empty", "default"),
        (
            "org: a\nkernel:\n  version: 6.12\n  mirrors:\n  - https://u:p@m.example\n",
            "5: kernel.mirrors[1]: 'https://u:p@m.example' is not the address",
            "netrc",
        ),
        ("org: a\nkernel: {version: 6.12, mirrors: [ftp://m.example]}\n", "2: kernel.mirrors[1]: ", "https"),
        ("org: a\nkernel: {version: 6.12, signing_keys: [589DA6B1]}\n", "2: kernel.signing_keys[1]: ", "40"),
        (f"{MINIMAL}toolchain: {{suite: Debian 13}}\n", "3: toolchain.suite: 'Debian 13' is not a Debian suite", ""),
        (f"{MINIMAL}toolchain: {{base: 'a b'}}\n", "3: toolchain.base: 'a b' is not an image reference", ""),
        (
            f"{MINIMAL}toolchain:\n  packages:\n  - gcc\n  - $(id)\n",
            "6: toolchain.packages[2]: '$(id)' is not a Debian package name",
            "",
        ),
        (f"{MINIMAL}firmware: {{source: debian}}\n", "3: firmware.source: source debian needs packages", ""),
        (f"{MINIMAL}firmware: {{source: none, path: a}}\n", "3: firmware.path: path has no meaning", ""),
        (f"{MINIMAL}registries:\n- https://r.example\n", "4: registries[1]: 'https://r.example' is not", "no https://"),
        (f"{MINIMAL}registries:\n- u:p@r.example\n", "4: registries[1]: 'u:p@r.example' is not", "no password"),
        (f"{MINIMAL}registries: [myhost]\n", "3: registries[1].host: 'myhost' is not", "needs its port"),
        (f"{MINIMAL}registries: [r.example/]\n", "3: registries[1]: 'r.example/' ends in a slash", ""),
        (f"{MINIMAL}registries: [r.example/Upper]\n", "3: registries[1].prefix: 'Upper' is not", "lower-case"),
        (f"{MINIMAL}registries: [{{prefix: a}}]\n", "3: registries[1].host is missing", "add it"),
    ],
)
def test_a_mistake_is_shown_at_its_line(refuse: Any, text: str, said: str, hint: str) -> None:
    shown, error = refuse(text)
    assert shown.startswith(said)
    assert hint in error.hint


def test_several_mistakes_are_listed_in_the_order_of_their_lines(refuse: Any) -> None:
    shown, error = refuse(f"orgg: acme\norg: acme\n{KERNEL}config:\n  strict: 3\nfirmware: {{source: usb}}\n")
    assert shown == "1: unknown key orgg"
    assert [line.split(": ")[0] for line in error.details] == ["line 5", "line 6"]
    assert "config.strict" in error.details[0]
    assert "firmware.source" in error.details[1]


def test_caches(load: Any) -> None:
    cache = load(
        MINIMAL + "cache:\n  from: [registry.example/c:1, ./c]\n  to: ['type=s3,bucket=b']\n"
        "  compiler: {size: 500M, remote: 'redis://cache.example:6379'}\n"
    ).cache
    assert cache.sources == ("registry.example/c:1", "./c")
    assert cache.targets == ("type=s3,bucket=b",)
    assert (cache.compiler.size, cache.compiler.remote) == ("500M", "redis://cache.example:6379")


def test_no_caches(load: Any) -> None:
    cache = load(MINIMAL).cache
    assert (cache.sources, cache.targets) == ((), ())
    assert (cache.compiler.size, cache.compiler.remote, cache.compiler.secret_file) == ("10G", None, None)


@pytest.mark.parametrize(
    ("line", "what", "hint"),
    [
        ("from: [cache]", "cache.from[1]: 'cache' is not a cache", "./path"),
        ("to: ['type=s3,secret_access_key=x']", "cache.to[1]: a secret has no place in the settings", "environment"),
        ("form: []", "unknown key cache.form", "did you mean cache.from?"),
        ("sources: []", "unknown key cache.sources", "keys here are from, to, compiler"),
        ("compiler: {size: 10}", "cache.compiler.size: '10' is not a size for ccache", "10G"),
        ("compiler: {size: 10GB}", "cache.compiler.size: '10GB' is not a size for ccache", "10G"),
        ("compiler: {remote: 'ftp://h'}", "cache.compiler.remote: 'ftp://h' is not the address of", "redis://host"),
        ("compiler: {remote: 'redis://u:word@h'}", "cache.compiler.remote: the address has a user", "secret_file"),
        ("compiler: {remote: 'http://h', secret_file: f}", "cache.compiler.secret_file: remote and", "remove one"),
    ],
)
def test_wrong_caches(refuse: Any, line: str, what: str, hint: str) -> None:
    said, error = refuse(f"{MINIMAL}cache:\n  {line}\n")
    assert said.startswith(f"4: {what}")
    assert hint in error.hint
