"""The pages hold together: links lead somewhere, snippets run, and every public name is explained.

The snippets themselves run where they stand: see conftest.py beside README.md.
"""

import re
from pathlib import Path

import pytest

import memo

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

LINK = re.compile(r"\]\((?!https?:)([^)#]+)[^)]*\)")
PYTHON_FENCE = re.compile(r"^\s*```\s*(py.*)$", re.MULTILINE)

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@each_page
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    """A relative link names a file that is there."""
    links = LINK.findall(page.read_text("utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


@each_page
def test_no_snippet_slips_through(page: Path) -> None:
    """Only a fence that says exactly `python` runs, so no block of Python says anything else."""
    fences = PYTHON_FENCE.findall(page.read_text("utf-8"))
    assert [fence for fence in fences if fence != "python"] == []


def test_every_page_is_in_the_table_of_contents() -> None:
    """The README leads to every page."""
    linked = set(LINK.findall((ROOT / "README.md").read_text("utf-8")))
    assert {f"docs/{page.name}" for page in PAGES[1:]} <= linked


@pytest.mark.parametrize("name", sorted(set(memo.__all__) - {"__version__"}))
def test_every_public_name_is_explained(name: str) -> None:
    """A name in `memo.__all__` appears in the pages, as code."""
    text = "\n".join(page.read_text("utf-8") for page in PAGES)
    code = re.findall(r"```.*?```|`[^`\n]+`", text, re.DOTALL)
    assert any(re.search(rf"\b{re.escape(name)}\b", piece) for piece in code)
