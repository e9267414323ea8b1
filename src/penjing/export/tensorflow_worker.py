"""The process that holds TensorFlow. Run by its file's name, with any Python that has tensorflow and numpy; it imports
nothing else of Penjing, so that TensorFlow may live in an environment of its own.

``build WEIGHTS TARGET`` writes a SavedModel from what :mod:`penjing.export.weights_worker` laid out;
``ask TARGET PROBES ANSWERS`` loads one as any stock TensorFlow would, and writes its answers to the probes.

Signatures: ``serving_default`` takes ``input_ids`` and ``attention_mask``, int64 of any (batch, tokens), and gives
``logits``, float32; ``token_types``, where the model tells two texts apart, takes ``token_type_ids`` as well.
Source: the papers of BERT, RoBERTa, ELECTRA and DistilBERT, as Transformers computes them.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import tensorflow as tf

_MINUS_INFINITY = -1e9
_ACTIVATIONS = {
    "none": lambda x: x,
    "tanh": tf.tanh,
    "relu": tf.nn.relu,
    "silu": tf.nn.silu,
    "gelu": lambda x: tf.nn.gelu(x, approximate=False),
    "gelu_new": lambda x: tf.nn.gelu(x, approximate=True),
}


class Encoder(tf.Module):  # type: ignore[misc]
    """A post-norm encoder with its head."""

    def __init__(self, weights: Any) -> None:
        super().__init__()
        self._facts = json.loads(bytes(weights["facts"]).decode())
        self._arrays = {
            name.replace(".", "/"): tf.Variable(weights[name], trainable=False, name=name.replace(".", "_"))
            for name in weights.files
            if name != "facts"
        }

    def logits(self, ids: Any, mask: Any, types: Any) -> Any:
        """(batch, tokens) each → (batch, outputs), or (batch, tokens, outputs)."""
        hidden = self._embed(ids, types)
        bias = tf.cast(1 - mask[:, None, None, :], tf.float32) * _MINUS_INFINITY
        for number in range(self._facts["layers"]):
            hidden = self._layer(hidden, bias, str(number))
        if self._facts["reads_first"]:
            hidden = hidden[:, 0]
        for number in range(self._facts["heads_in_row"]):
            hidden = _ACTIVATIONS[self._facts[f"head{number}"]](self._linear(hidden, f"head{number}"))
        return hidden

    def _embed(self, ids: Any, types: Any) -> Any:
        arrays, pad = self._arrays, self._facts["pad"]
        places = tf.range(tf.shape(ids, tf.int64)[1])[None, :]
        if self._facts["counts_ids"]:  # RoBERTa and its kin: real tokens are counted, from after the padding id
            real = tf.cast(ids != pad, tf.int64)
            places = tf.cumsum(real, axis=1) * real + pad
        summed = tf.gather(arrays["words"], ids) + tf.gather(arrays["positions"], places)
        if "types" in arrays:
            summed += tf.gather(arrays["types"], types)
        normed = self._norm(summed, "embedding_norm")
        return self._linear(normed, "project") if "project/kernel" in arrays else normed

    def _layer(self, hidden: Any, bias: Any, name: str) -> Any:
        query, key, value = (self._by_head(hidden, f"{name}/{part}") for part in ("query", "key", "value"))
        scores = tf.matmul(query, key, transpose_b=True) / float(query.shape[-1]) ** 0.5 + bias
        mixed = tf.transpose(tf.matmul(tf.nn.softmax(scores), value), [0, 2, 1, 3])
        mixed = tf.reshape(mixed, tf.shape(hidden))
        hidden = self._norm(hidden + self._linear(mixed, f"{name}/attention_out"), f"{name}/attention_norm")
        wide = _ACTIVATIONS[self._facts["activation"]](self._linear(hidden, f"{name}/up"))
        return self._norm(hidden + self._linear(wide, f"{name}/down"), f"{name}/output_norm")

    def _by_head(self, hidden: Any, name: str) -> Any:
        made, heads = self._linear(hidden, name), self._facts["heads"]
        shape = tf.shape(made)
        split = tf.reshape(made, [shape[0], shape[1], heads, made.shape[-1] // heads])
        return tf.transpose(split, [0, 2, 1, 3])

    def _linear(self, given: Any, name: str) -> Any:
        kernel = self._arrays[f"{name}/kernel"]
        return tf.tensordot(given, kernel, 1) + self._arrays[f"{name}/bias"]

    def _norm(self, given: Any, name: str) -> Any:
        mean, variance = tf.nn.moments(given, [-1], keepdims=True)
        normed = (given - mean) * tf.math.rsqrt(variance + self._facts["epsilon"])
        return normed * self._arrays[f"{name}/scale"] + self._arrays[f"{name}/shift"]

    def signatures(self) -> dict[str, Any]:
        """What is served, by name."""
        names = ("input_ids", "attention_mask", "token_type_ids")
        ids, mask, types = (tf.TensorSpec([None, None], tf.int64, name=name) for name in names)

        def default(input_ids: Any, attention_mask: Any) -> dict[str, Any]:
            return {"logits": self.logits(input_ids, attention_mask, tf.zeros_like(input_ids))}

        def of_types(input_ids: Any, attention_mask: Any, token_type_ids: Any) -> dict[str, Any]:
            return {"logits": self.logits(input_ids, attention_mask, token_type_ids)}

        offered = {"serving_default": tf.function(default, input_signature=[ids, mask])}
        if self._facts["types"] > 1:
            offered["token_types"] = tf.function(of_types, input_signature=[ids, mask, types])
        return offered


def build(weights: str, target: str) -> None:
    """See the module."""
    with np.load(weights, allow_pickle=False) as arrays:
        model = Encoder(arrays)
    tf.saved_model.save(model, target, signatures=model.signatures())


def ask(target: str, probes: str, answers: str) -> None:
    """See the module. Several probes are asked as one padded batch, the rest as batches of one."""
    with np.load(probes, allow_pickle=False) as arrays:
        count = sum(name.startswith("ids") for name in arrays.files)
        ids = [arrays[f"ids{number}"] for number in range(count)]
    serve = tf.saved_model.load(target).signatures["serving_default"]
    half = (count + 1) // 2
    rows = [row for batch in ([ids[:half]] + [[one] for one in ids[half:]]) for row in _asked(serve, batch)]
    np.savez(answers, logits=np.concatenate(rows))


def _asked(serve: Any, sequences: list[Any]) -> list[Any]:
    longest = max(map(len, sequences))
    ids = np.zeros((len(sequences), longest), np.int64)
    mask = np.zeros_like(ids)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)], mask[row, : len(sequence)] = sequence, 1
    logits = serve(input_ids=tf.constant(ids), attention_mask=tf.constant(mask))["logits"].numpy()
    by_token = logits.ndim == 3
    return [logits[row, : len(one)] if by_token else logits[row : row + 1] for row, one in enumerate(sequences)]


if __name__ == "__main__":
    if sys.argv[1] == "build":
        build(*sys.argv[2:])
    else:
        ask(*sys.argv[2:])
