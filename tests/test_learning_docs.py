"""What the documentation shows is what comes out."""

import doctest
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.parametrize("page", sorted(page.name for page in DOCS.glob("*.md")))
def test_examples_of_a_page_show_what_comes_out(page):
    found = doctest.testfile(str(DOCS / page), module_relative=False)
    assert found.attempted
    assert not found.failed
