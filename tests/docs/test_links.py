"""Every link in the documentation leads somewhere."""

import pytest

from docs.markdown import ROOT, anchors, links, pages


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_headings_that_exist(page):
    dead = []
    for link in links(page):
        if "://" in link or link.startswith("mailto:"):
            continue
        target, _, fragment = link.partition("#")
        file = (page.parent / target).resolve() if target else page
        if not file.exists() or (fragment and fragment not in anchors(file)):
            dead.append(link)
    assert not dead


def test_every_page_of_docs_is_linked_from_the_index():
    index = ROOT / "docs" / "index.md"
    linked = {(index.parent / link.partition("#")[0]).resolve() for link in links(index)}
    lost = [page for page in pages() if page.is_relative_to(ROOT / "docs") and page != index and page not in linked]
    assert not lost


def test_pages_name_no_place_that_only_one_machine_has():
    for page in pages():
        text = page.read_text(encoding="utf-8")
        found = [word for word in ("/home/", "/root/", "/work/", "C:\\") if word in text]
        assert not found, page
