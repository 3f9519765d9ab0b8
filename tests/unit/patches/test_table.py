from __future__ import annotations

from pathlib import Path

from builder.patches.series import read_series
from builder.patches.table import NAME, is_stale, known_upstream, read_table, updated, write_table

PATCH = "From: A | B <a@example.org>\nSubject: [PATCH] use *x* [y]\nX-Rosk-Kernel: <6.13\nForwarded: no\n\n"
DIFF = "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n"


def put(folder: Path, name: str = "0001-a.patch", text: str = PATCH + DIFF) -> None:
    (folder / name).write_text(text)


def test_a_table_is_made_and_is_what_markdown_reads(tmp_path: Path) -> None:
    put(tmp_path)
    put(tmp_path, "0002-b.patch", f"Link: https://lore.example.org/a_b\n\n{DIFF}")
    assert write_table(tmp_path, read_series(tmp_path))
    lines = (tmp_path / NAME).read_text().splitlines()
    assert lines[0] == "# Patches"
    at = lines.index("<!-- patches -->")
    assert lines[at + 1 :] == [
        "| patch | subject | author | origin | upstream | kernels |",
        "| --- | --- | --- | --- | --- | --- |",
        r"| `0001-a.patch` | use \*x\* \[y\] | A \| B \<a@example.org\> |  | not forwarded | \<6.13 |",
        "| `0002-b.patch` |  |  | <https://lore.example.org/a_b> |  |  |",
        "<!-- /patches -->",
    ]


def test_only_the_table_is_written_again(tmp_path: Path) -> None:
    put(tmp_path)
    (tmp_path / NAME).write_text("# Ours\n\nWhy.\n\n<!-- patches -->\nold\n<!-- /patches -->\n\nMore \\1.\n")
    assert is_stale(tmp_path, read_series(tmp_path))
    assert write_table(tmp_path, read_series(tmp_path))
    text = (tmp_path / NAME).read_text()
    assert text.startswith("# Ours\n\nWhy.\n\n<!-- patches -->\n| patch ") and text.endswith("-->\n\nMore \\1.\n")
    assert not is_stale(tmp_path, read_series(tmp_path))
    assert not write_table(tmp_path, read_series(tmp_path))
    put(tmp_path, text=PATCH.replace("use", "drop") + DIFF)
    assert is_stale(tmp_path, read_series(tmp_path))


def test_a_readme_without_a_table_gets_one_at_its_end_and_is_not_stale_before(tmp_path: Path) -> None:
    put(tmp_path)
    (tmp_path / NAME).write_text("Words.")
    assert not is_stale(tmp_path, read_series(tmp_path))
    assert updated("Words.", read_series(tmp_path)).startswith("Words.\n\n<!-- patches -->\n")


def test_a_readme_keeps_its_line_ends(tmp_path: Path) -> None:
    put(tmp_path)
    for text in ("Ours.\r\n", "Ours.\r\n\r\n<!-- patches -->\r\nold\r\n<!-- /patches -->\r\nMore.\r\n"):
        (tmp_path / NAME).write_bytes(text.encode())
        assert write_table(tmp_path, read_series(tmp_path))
        data = (tmp_path / NAME).read_bytes()
        assert data.startswith(b"Ours.\r\n\r\n<!-- patches -->\r\n| patch ") and b"0001-a" in data
        assert data.count(b"\n") == data.count(b"\r\n")
        assert not write_table(tmp_path, read_series(tmp_path))


def test_without_a_readme_nothing_is_stale(tmp_path: Path) -> None:
    put(tmp_path)
    assert read_table(tmp_path) == ""
    assert not is_stale(tmp_path, read_series(tmp_path))


def test_what_a_check_found_stays_until_another_says_otherwise(tmp_path: Path) -> None:
    put(tmp_path)
    patches = read_series(tmp_path)
    write_table(tmp_path, patches, {"0001-a.patch": "6.12.64"})
    assert "| not forwarded; in 6.12.64 |" in (tmp_path / NAME).read_text()
    assert known_upstream(read_table(tmp_path)) == {"0001-a.patch": "6.12.64"}
    assert not write_table(tmp_path, patches)
    assert is_stale(tmp_path, patches, {})
    assert write_table(tmp_path, patches, {})
    assert "in 6.12.64" not in (tmp_path / NAME).read_text()
