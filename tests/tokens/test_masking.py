"""Masks: as many as asked for, of the unit asked for, on ordinary tokens alone, and the same for the same draw."""

import numpy as np
import pytest
from pydantic import ValidationError
from tokenizers import Tokenizer, models

from penjing.core.errors import CheckpointError
from penjing.tokens import Encoding
from penjing.tokens.masking import Masker, MaskingRecipe, Vocabulary, read_vocabulary

SPECIAL, MASK = 5, 4
WORDS = 400  # ids from 5 on; every second one goes on with the word before


def vocabulary():
    special = np.zeros(SPECIAL + WORDS, bool)
    special[:SPECIAL] = True
    begins = np.arange(SPECIAL + WORDS) % 2 == 1
    return Vocabulary(MASK, "[MASK]", special, begins)


def drawn(unit="token", rate=0.15, seed=0, length=200, **more):
    ids = np.concatenate([[2], np.arange(SPECIAL, SPECIAL + length), [3]]).astype(np.int64)
    masker = Masker(vocabulary(), MaskingRecipe(rate=rate, unit=unit, **more))
    return ids, *masker.draw(Encoding(ids), np.random.default_rng(seed))


@pytest.mark.parametrize("unit", ["token", "word", "span"])
@pytest.mark.parametrize("rate", [0.15, 0.4])
def test_as_many_as_asked_for_and_never_a_special_token(unit, rate):
    for seed in range(50):
        ids, masked, targets = drawn(unit, rate, seed)
        assert 0.8 * rate * 200 <= len(targets) <= round(rate * 200)
        assert masked.chosen[0] > 0
        assert masked.chosen[-1] < len(ids) - 1
        assert (np.diff(masked.chosen) > 0).all()
        np.testing.assert_array_equal(ids[masked.chosen], targets)
        others = np.setdiff1d(np.arange(len(ids)), masked.chosen)
        np.testing.assert_array_equal(masked.ids[others], ids[others])


def test_of_those_some_are_masked_some_changed_and_some_left():
    fates = np.zeros(3)
    for seed in range(200):
        ids, masked, _ = drawn(rate=0.4, seed=seed, mask_share=0.7, random_share=0.2)
        now, before = masked.ids[masked.chosen], ids[masked.chosen]
        fates += [(now == MASK).mean(), ((now != MASK) & (now != before)).mean(), (now == before).mean()]
        assert (now[now != MASK] >= SPECIAL).all()
    np.testing.assert_allclose(fates / 200, [0.7, 0.2, 0.1], atol=0.015)


def test_whole_words_are_whole():
    for seed in range(20):
        _, masked, targets = drawn("word", seed=seed)
        odd = targets[targets % 2 == 1]
        assert set(odd + 1) == set(targets[targets % 2 == 0])
        assert len(masked.chosen) == len(targets)


def test_spans_lie_together():
    runs = [1 + int((np.diff(drawn("span", seed=seed)[1].chosen) > 1).sum()) for seed in range(30)]
    alone = [1 + int((np.diff(drawn("token", seed=seed)[1].chosen) > 1).sum()) for seed in range(30)]
    assert np.mean(runs) < np.mean(alone) / 2


def test_the_same_draw_gives_the_same_masks_and_another_others():
    one, same, other = (drawn(seed=seed)[1] for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.ids, same.ids)
    assert one.chosen.tolist() != other.chosen.tolist()


@pytest.mark.parametrize("unit", ["token", "word", "span"])
def test_the_shortest_texts(unit):
    masker = Masker(vocabulary(), MaskingRecipe(unit=unit))
    rng = np.random.default_rng(0)
    single, targets = masker.draw(Encoding(np.array([2, 7, 3])), rng)
    assert (single.chosen.tolist(), targets.tolist()) == ([1], [7])
    nothing, none = masker.draw(Encoding(np.array([2, 3])), rng)
    assert (len(nothing.chosen), len(none)) == (0, 0)
    long_word, _ = masker.draw(Encoding(np.array([2, 7, 8, 10, 12, 3])), rng)
    assert len(long_word.chosen) == 1


def test_where_words_begin_is_read_off_the_vocabulary(tmp_path):
    for names, begins in ((["a", "##b", "."], [1, 0, 1]), (["Ġa", "b", "Ġc"], [1, 0, 1]), (["▁a", "好"], [1, 0])):
        plain = Tokenizer(models.WordLevel({name: at for at, name in enumerate([*names, "<unk>"])}, unk_token="<unk>"))
        plain.add_special_tokens(["<mask>"])
        plain.save(str(tmp_path / "tokenizer.json"))
        found = read_vocabulary(tmp_path / "tokenizer.json")
        assert found.begins[: len(names)].tolist() == [bool(one) for one in begins]
        assert found.mask == "<mask>"
        assert found.is_special.sum() == 1


def test_a_tokenizer_without_a_mask_is_refused(tmp_path):
    Tokenizer(models.WordLevel({"a": 0}, unk_token="a")).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(CheckpointError, match="has no mask token"):
        read_vocabulary(tmp_path / "tokenizer.json")


def test_the_shares_are_parts_of_one_whole():
    with pytest.raises(ValidationError, match="together at most 1"):
        MaskingRecipe(mask_share=0.8, random_share=0.3)
