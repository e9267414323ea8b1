"""Decisions are numbered without gaps and say context, choice and price on one page."""

from docs.markdown import DOCS, headings, read

RECORDS = sorted((DOCS / "decisions").glob("*.md"))


def test_the_numbers_have_no_gap():
    assert [int(record.name[:4]) for record in RECORDS] == list(range(1, len(RECORDS) + 1))


def test_each_has_its_three_parts_and_fits_a_page():
    for record in RECORDS:
        assert [line for line in headings(record) if line.startswith("## ")] == ["## Context", "## Choice", "## Price"]
        assert headings(record)[0].startswith(f"# {int(record.name[:4])}. ")
        assert len(read(record).splitlines()) <= 70, record.name
