"""A tokenizer of one's own for translation."""

from tokenizers import Tokenizer

from penjing.app.recipes import ScratchRecipe
from penjing.app.scratch import _write_tokenizer


def test_marks_come_back_as_they_are_written(tmp_path):
    texts = ["我买了床，但是床坏了！", "为什么？（请回复）", "I bought a bed, but it is broken!"] * 20
    _write_tokenizer(ScratchRecipe(vocabulary=64), texts, tmp_path)
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    for text in texts[:3]:
        assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False).ids) == text
