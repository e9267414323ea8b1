from __future__ import annotations

from dataclasses import replace

from penjing.data.examples import TextExample, make_split

A = TextExample("好 🙂", "a", "x.csv:2")
B = TextExample("b", None, "x.csv:3", pair="c")


def test_the_digest_is_of_content_and_order_alone():
    split = make_split("train", "x.csv", [A, B])
    assert (split.rows, split.examples) == (2, (A, B))
    moved = make_split("test", "y.jsonl", [replace(A, origin="y.jsonl:1"), B])
    assert moved.sha256 == split.sha256
    others = [[B, A], [A], [A, replace(B, label="b")], [A, replace(B, pair=None)], [replace(A, text="好🙂"), B]]
    digests = {make_split("train", "x.csv", examples).sha256 for examples in others}
    assert len(digests) == len(others)
    assert split.sha256 not in digests
