"""When an answer in free text is the right one."""

from __future__ import annotations

import pytest

from penjing.evaluate.exact import is_same_answer


@pytest.mark.parametrize(
    ("answer", "right", "after", "same"),
    [
        ("Paris", "paris", None, True),
        (" two  words\n", "two words", None, True),
        ("Ｐａｒｉｓ", "Paris", None, True),
        ("汤", "汤", None, True),
        ("汤。", "汤", None, False),
        ("the sea", "sea", None, False),
        ("", "", None, True),
        ("1,000", "1000", None, True),
        ("$72.50", "72.5", None, True),
        ("１２", "12", None, True),
        ("12.", "12", None, True),
        ("-5", "5", None, False),
        ("1.5", "15", None, False),
        ("nan", "NaN", None, True),
        ("nan", "inf", None, False),
        ("3 + 4 = 7\n#### 7", "4 and 3 are <<4+3=7>>7.\n#### 7", "####", True),
        ("#### 6\nNo: #### 7", "#### 7", "####", True),
        ("It is 7", "#### 7", "####", False),
        ("#### 7", "7", "####", True),
        ("", "#### 7", "####", False),
    ],
)  # fmt: skip
def test_case_width_and_spacing_do_not_count_and_numbers_are_numbers(answer, right, after, same):
    assert is_same_answer(answer, right, after=after) is same
