"""The teacher as others run it: plain Transformers with padding, and ONNX Runtime's dynamic int8 without any."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from penjing.export.padded import write_padded
from penjing.models.quiet import quiet_transformers
from penjing.store import Bundle
from penjing.tokens import Encoding

Answer = Callable[[Sequence[str]], np.ndarray]


def transformers_padded(checkpoint: Path) -> Answer:
    """A text at a time, padded to 128 tokens, by ``AutoModelForSequenceClassification``."""
    import torch
    import transformers

    torch.set_num_threads(1)
    with quiet_transformers():
        model = transformers.AutoModelForSequenceClassification.from_pretrained(checkpoint).eval()
        tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint)

    def answer(texts: Sequence[str]) -> np.ndarray:
        found = np.zeros(len(texts), np.int64)
        for at, text in enumerate(texts):
            asked = tokenizer(text, padding="max_length", truncation=True, max_length=128, return_tensors="pt")
            with torch.inference_mode():
                found[at] = int(model(**asked).logits.argmax())
        return found

    return answer


def onnxruntime_int8(teacher: Bundle, target: Path, probes: Sequence[Encoding]) -> Answer:
    """A text at a time, as long as it is, by a plain graph that ``quantize_dynamic`` made int8."""
    import onnxruntime
    import tokenizers
    from onnxruntime.quantization import QuantType, quantize_dynamic

    if not target.exists():
        with tempfile.TemporaryDirectory() as scratch:
            write_padded(teacher.path / "checkpoint", Path(scratch), probes, form="onnx")
            quantize_dynamic(
                str(Path(scratch) / "model.onnx"), str(target), weight_type=QuantType.QInt8, per_channel=True
            )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(target), options, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]
    tokenizer = tokenizers.Tokenizer.from_file(str(teacher.file(teacher.manifest.text.tokenizer)))
    tokenizer.no_padding()
    tokenizer.enable_truncation(teacher.manifest.text.max_tokens)

    def answer(texts: Sequence[str]) -> np.ndarray:
        found = np.zeros(len(texts), np.int64)
        for at, text in enumerate(texts):
            ids = np.array([tokenizer.encode(text).ids], np.int64)
            fed = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
            found[at] = int(session.run(None, {name: fed[name] for name in names})[0].argmax())
        return found

    return answer
