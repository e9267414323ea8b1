"""From text to rows of tokens: tokenising and packing, shared by training, evaluation and serving.

Depends on NumPy and ``tokenizers`` only, so that the server can use it without torch.
"""

from penjing.tokens.encode import Encoding, Text, TextEncoder
from penjing.tokens.packing import PackedBatch, Reads, pack_flat, pack_rows, pack_sequences, row_width

__all__ = [
    "Encoding",
    "PackedBatch",
    "Reads",
    "Text",
    "TextEncoder",
    "pack_flat",
    "pack_rows",
    "pack_sequences",
    "row_width",
]
