"""The repository keeps its own promises: short files, reasons beside suppressions, no traces of a machine."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
MOST_LINES = 400
BARE_SUPPRESSION = re.compile(r"#\s*(?:type:\s*ignore(?!\[)|noqa(?!:))")
DOC_LINK = re.compile(r"\]\((?!https?://|#|mailto:)([^)#\s]+)")


def tracked(*patterns: str) -> list[Path]:
    """Return the files under version control that fit."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", *patterns], cwd=ROOT, capture_output=True, check=True, text=True
    ).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).exists()]


def test_no_source_file_is_longer_than_400_lines() -> None:
    long = {
        str(path.relative_to(ROOT)): count
        for path in tracked("*.py", "*.js", "*.css", "*.html", "*.j2")
        if (count := len(path.read_text("utf-8").splitlines())) > MOST_LINES
    }
    assert not long, f"find the second idea in each and give it a room: {long}"


def test_every_suppression_names_what_it_suppresses() -> None:
    bare = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in tracked("*.py")
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1)
        if BARE_SUPPRESSION.search(line) and path != Path(__file__)
    ]
    assert not bare


@pytest.mark.parametrize("path", tracked("*.md"), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    dead = [target for target in DOC_LINK.findall(path.read_text("utf-8")) if not (path.parent / target).exists()]
    assert not dead
