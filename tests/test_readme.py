"""The README: read in three minutes, and what the pages link to is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
WORDS_IN_THREE_MINUTES = 900  # the words of commands, file names and tables counted too


def test_a_newcomer_reads_it_in_three_minutes() -> None:
    text = re.sub(r"```mermaid.*?```", "", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    assert len(re.findall(r"\w\w+", text)) <= WORDS_IN_THREE_MINUTES


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_links_to_is_there(page: Path) -> None:
    targets = re.findall(r"\]\(([^)\s#]+)", page.read_text())
    local = [target for target in targets if not target.startswith(("http://", "https://"))]
    assert [target for target in local if not (page.parent / target).exists()] == []


def test_every_page_is_found_from_the_readme() -> None:
    linked = re.findall(r"\]\((docs/[^)\s#]+\.md)", (ROOT / "README.md").read_text())
    assert {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")} == set(linked)
