"""README.md and README.zh.md say the same: same sections, same code, same links."""

from docs.markdown import ROOT, blocks, headings, links

ENGLISH, CHINESE = ROOT / "README.md", ROOT / "README.zh.md"


def levels(page):
    return [heading.split()[0] for heading in headings(page)]


def test_the_two_have_the_same_headings_in_number_and_level():
    assert levels(ENGLISH) == levels(CHINESE)


def test_the_two_have_the_same_code():
    assert [(one.language, one.code, one.note) for one in blocks(ENGLISH)] == [
        (one.language, one.code, one.note) for one in blocks(CHINESE)
    ]


def test_the_two_link_to_the_same_places():
    ours, theirs = ({link for link in links(page) if link[0] != "#"} for page in (ENGLISH, CHINESE))
    assert ours - {"README.zh.md"} == theirs - {"README.md"}
    assert "README.zh.md" in ours
    assert "README.md" in theirs
