"""Texts that people send without meaning harm: every task has to answer each, or say clearly why it cannot."""

from __future__ import annotations

STRANGE = (
    "x",
    "字",
    "。",
    "😀",
    "👩‍👩‍👧‍👦 🏳️‍🌈",
    "مرحبا بالعالم",
    "שלום, עולם 3",
    "mixed 混合 текст 😀 نص",
    "[MASK] [CLS] </s> <unk> <|im_end|> {{ x }}",
    "\u200f\u202e\ufeff a",
    "\x00\x07 a",
    "e\u0301 \ufb01 Ａ",
    "a\n\n\t\r\n b",
    "the old " * 128_000,  # a megabyte
    "字" * 333_333,
    "a" * 1_000_000,
)
