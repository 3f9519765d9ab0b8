from __future__ import annotations

from pathlib import Path

import pytest

from builder.errors import InputError
from builder.lists.model import Policy
from builder.settings import Settings, load_settings


def load(folder: Path, rules: str) -> Settings:
    path = folder / "rosk.yaml"
    path.write_text(f'org: acme\nkernel: {{source: debian, version: "6.12"}}\nlists:\n  rules:\n    - {rules}\n')
    return load_settings(path)


def test_the_first_rule_that_matches_decides(tmp_path: Path) -> None:
    settings = load(tmp_path, "{glob: 'kernel/net/*', to: core}\n    - {glob: 'kernel/net/**', to: error}")
    policy = Policy(rules=settings.lists.rules)
    assert policy.destination("kernel/net/a.ko") == ("core", "rule kernel/net/*")
    assert policy.destination("kernel/net/b/a.ko") == ("error", "rule kernel/net/**")
    assert policy.destination("kernel/fs/a.ko")[0] == "extra"
    assert policy.destination("kernel/fs/ext4/ext4.ko")[0] == "core"  # needed to boot


@pytest.mark.parametrize(
    ("rule", "what", "hint"),
    [
        ("{glob: kernel/net, to: core}", "not a module's path", "overlay.ko"),
        ("{glob: '/kernel/*', to: core}", "absolute", "lib/modules"),
        ("{glob: '', to: core}", "an empty text is not a module's path", "overlay.ko"),
        ("{glob: 'kernel/*', to: main}", "'main' is none of the values", "'core', 'extra' or 'error'"),
        ("{glob: 'kernel/*', too: core}", "unknown key lists.rules[1].too", "lists.rules.to"),
        ("{glob: 'kernel/*'}", "lists.rules[1].to is missing", "add it"),
        ("kernel/*", "must be a mapping", "table of settings"),
    ],
)
def test_a_wrong_rule_is_refused_at_its_line(tmp_path: Path, rule: str, what: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        load(tmp_path, rule)
    error = caught.value
    told = " ".join([error.what, error.hint, *error.details])
    assert error.line == 5 and what in told and hint in told
