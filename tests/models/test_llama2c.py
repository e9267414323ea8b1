"""Models of llama2.c as checkpoints: outputs and tokens as its own plain code has them; what is none is refused."""

from __future__ import annotations

import struct
from itertools import pairwise

import numpy as np
import pytest
import torch
import transformers

from penjing.core.errors import CheckpointError
from penjing.core.nouns import Task
from penjing.models.checkpoint import find_checkpoint
from penjing.models.loading import load_model
from penjing.tokens.encode import open_tokenizer

WIDTH, INNER, LAYERS, HEADS, KEY_HEADS, POSITIONS = 16, 24, 2, 4, 2, 32
WORDS = ["▁", "a", "b", "c", "é", "你", "好", "▁a", "ab", "bc", "▁ab", "abc", "你好", "cab", "▁abc"]
PIECES = ["<unk>", "\n<s>\n", "\n</s>\n", *(f"<0x{byte:02X}>" for byte in range(256)), *WORDS]
SCORES = [0.0] * 259 + [-float(number) for number in range(len(WORDS))]


def write_model(folder, *, shares=True, oldest=False):
    """A file of random weights, as its exporter writes it, and the weights in the same order."""
    draws = np.random.default_rng(3)
    head, key = WIDTH // HEADS, WIDTH // HEADS * KEY_HEADS
    shapes = [(len(PIECES), WIDTH), (LAYERS, WIDTH), (LAYERS, WIDTH, WIDTH), (LAYERS, key, WIDTH), (LAYERS, key, WIDTH),
              (LAYERS, WIDTH, WIDTH), (LAYERS, WIDTH), (LAYERS, INNER, WIDTH), (LAYERS, WIDTH, INNER),
              (LAYERS, INNER, WIDTH), (WIDTH,), (POSITIONS, head // 2), (POSITIONS, head // 2)]  # fmt: skip
    weights = [draws.normal(0, 0.3, shape).astype(np.float32) for shape in shapes]
    weights += [] if shares else [draws.normal(0, 0.3, (len(PIECES), WIDTH)).astype(np.float32)]
    header = WIDTH, INNER, LAYERS, HEADS, KEY_HEADS, len(PIECES) * (1 if shares else -1), POSITIONS
    folder.mkdir(exist_ok=True)
    (folder / "tiny.bin").write_bytes(struct.pack("<7i", *header) + b"".join(one.tobytes() for one in weights))
    told = [(piece.replace("▁", " ").encode(), score) for piece, score in zip(PIECES, SCORES, strict=True)]
    if oldest:
        told[3:259] = [(chr(byte).encode(), 0.0) for byte in range(256)]
    longest = max(len(piece) for piece, _ in told)
    (folder / "tokenizer.bin").write_bytes(
        struct.pack("<i", longest) + b"".join(struct.pack("<fi", score, len(one)) + one for one, score in told)
    )
    return weights


def normed(x, weight):
    return weight * x / np.sqrt(np.mean(x * x) + 1e-5)


def turned(vector, at):
    """Neighbours of each head as the parts of a complex number, turned by its place."""
    pairs = vector.reshape(-1, WIDTH // HEADS // 2, 2)
    angles = at / 10000 ** (2 * np.arange(pairs.shape[1]) / (WIDTH // HEADS))
    whole = (pairs[..., 0] + 1j * pairs[..., 1]) * np.exp(1j * angles)
    return np.stack([whole.real, whole.imag], axis=-1).reshape(-1, WIDTH // HEADS)


def plain_logits(weights, ids):
    """The forward pass token by token and head by head, in float64."""
    table, norm1, wq, wk, wv, wo, norm2, w1, w2, w3, last, _, _, *own = (one.astype(np.float64) for one in weights)
    keys, values, rows = [[] for _ in norm1], [[] for _ in norm1], []
    for at, token in enumerate(ids):
        x = table[token]
        for layer in range(LAYERS):
            inner = normed(x, norm1[layer])
            queries = turned(wq[layer] @ inner, at)
            keys[layer].append(turned(wk[layer] @ inner, at))
            values[layer].append((wv[layer] @ inner).reshape(KEY_HEADS, -1))
            heard = []
            for head, query in enumerate(queries):
                own_head = head // (HEADS // KEY_HEADS)
                scores = np.array([query @ key[own_head] for key in keys[layer]]) / np.sqrt(WIDTH // HEADS)
                shares = np.exp(scores - scores.max())
                heard.append(shares / shares.sum() @ np.array([value[own_head] for value in values[layer]]))
            x = x + wo[layer] @ np.concatenate(heard)
            inner = normed(x, norm2[layer])
            gate = w1[layer] @ inner
            x = x + w2[layer] @ (gate / (1 + np.exp(-gate)) * (w3[layer] @ inner))
        rows.append((own[0] if own else table) @ normed(x, last))
    return np.array(rows)


def plain_ids(text):
    """Letters, or their bytes, and then the best pair joined until none is left."""
    letters = "▁" + text.replace(" ", "▁")
    known = [[PIECES.index(one)] if one in WORDS else [byte + 3 for byte in one.encode()] for one in letters]
    ids = [one for own in known for one in own]
    while True:
        names = [PIECES[one] for one in ids]
        pairs = [(at, a + b) for at, (a, b) in enumerate(pairwise(names)) if a + b in WORDS]
        joined = [(SCORES[PIECES.index(piece)], -at, PIECES.index(piece)) for at, piece in pairs]
        if not joined:
            return [1, *ids]
        _, at, piece = max(joined)
        ids[-at : -at + 2] = [piece]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("PENJING_CACHE", str(tmp_path / "cache"))
    return tmp_path / "model"


@pytest.mark.parametrize("shares", [True, False])
def test_outputs_are_those_of_a_plain_forward_pass(folder, shares):
    weights = write_model(folder, shares=shares)
    checkpoint = find_checkpoint(str(folder / "tiny.bin"))
    assert (checkpoint.task, checkpoint.max_tokens) == (Task.TEXT_GENERATION, POSITIONS)
    ids = [1, 260, 5, 266, 273, 2, 100, 260]
    with torch.no_grad():
        found = load_model(checkpoint)(torch.tensor([ids])).logits[0].numpy()
    np.testing.assert_allclose(found, plain_logits(weights, ids), atol=1e-4)
    assert find_checkpoint(str(folder)).digest == checkpoint.digest


@pytest.mark.parametrize("oldest", [True, False])
def test_texts_are_cut_into_the_same_tokens_and_put_together_again(folder, oldest):
    write_model(folder, oldest=oldest)
    checkpoint = find_checkpoint(str(folder))
    words = transformers.AutoTokenizer.from_pretrained(checkpoint.path)
    for text in ("abc", "a abc  cab", "你好 abcé", "😀 xyz\n", "", "的你好", " abab"):
        ids = open_tokenizer(checkpoint.tokenizer).encode(text).ids
        assert ids == words.encode(text)
        assert ids == plain_ids(text) if text else ids == [1]
        assert words.decode(ids, skip_special_tokens=True) == text


def damaged(folder, name, change):
    content = bytearray((folder / name).read_bytes())
    (folder / name).write_bytes(change(content))


@pytest.mark.parametrize(
    ("name", "change", "why"),
    [
        ("tiny.bin", lambda content: content[:-1], "its header promises"),
        ("tiny.bin", lambda content: content + b"\0", "its header promises"),
        ("tiny.bin", lambda content: content[:0], "no header"),
        ("tiny.bin", lambda content: b"24ka" + content, "no header"),
        ("tiny.bin", lambda content: b"PK\3\4" + content, "its header says"),
        ("tiny.bin", lambda content: struct.pack("<7i", *[1 << 24] * 3, 1, 1, 1 << 24, 1) + content, "promises"),
        ("tokenizer.bin", lambda content: content[:-1], "ends within a piece"),
        ("tokenizer.bin", lambda content: content + b"\0", "goes on after"),
        ("tokenizer.bin", lambda content: content[:0], "is not the tokenizer"),
        ("tokenizer.bin", lambda content: content.replace(b"<0x0A>", b"<0x0B>"), "not those of a Llama"),
    ],
)  # fmt: skip
def test_what_is_no_such_model_is_refused(folder, name, change, why):
    write_model(folder)
    damaged(folder, name, change)
    with pytest.raises(CheckpointError, match=why):
        find_checkpoint(str(folder / "tiny.bin"))
    assert not list((folder.parent / "cache").rglob("*.safetensors"))


def test_a_model_without_its_tokenizer_is_told_so(folder):
    write_model(folder)
    (folder / "tokenizer.bin").unlink()
    with pytest.raises(CheckpointError, match=r"no tokenizer\.bin beside it"):
        find_checkpoint(str(folder / "tiny.bin"))
