from __future__ import annotations

import pytest

from penjing.knowledge.terms import indexed, match_terms, overlap


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("The rain's in 2024", "The rain s in 2024"),
        ("北京大学", "北京 京大 大学"),
        ("去 NBA打球吧!", "去 NBA 打球 球吧"),
        ("ＡＢＣ　１２", "ABC 12"),
        ("カタカナ", "カタ タカ カナ"),
        ("…!?", ""),
    ],
)
def test_terms_of_two_scripts(text, terms):
    assert indexed(text) == terms


def test_a_question_is_never_a_command():
    assert (
        " OR ".join(match_terms('NEAR("a" b) OR title: x* -y'))
        == '"NEAR" OR "a" OR "b" OR "OR" OR "title" OR "x" OR "y"'
    )
    assert match_terms("天") == ['"天"*']
    assert match_terms(" ?! ") == []
    assert len(match_terms(" ".join(map(str, range(500))))) == 64


def test_overlap():
    assert overlap("How long?", "how LONG") == 1
    assert overlap("a b", "c d") == 0
    assert 0.4 < overlap("保修多久", "保修期多久") < 1
