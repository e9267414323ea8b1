"""The process that converts to CTranslate2. Run as ``python -m penjing.export.ctranslate2_worker``; never imported.

Tokens are named by their ids, so no tokenizer is read: its special tokens, which converters look up by names that
change between releases, cannot get lost.
"""

from __future__ import annotations

import json
import logging
import sys
import warnings
from pathlib import Path
from typing import Any

from penjing.core.errors import ExportError, PenjingError
from penjing.core.extras import require
from penjing.engines.generating import SHAPE_FILE, GeneratorShape
from penjing.export.ctranslate2_export import ANSWER_TOKENS, read_prompts
from penjing.models.weights import WEIGHT_FILE, WEIGHT_INDEX

_PAD = "<pad>"  # the one name that a converter asks for: Marian's, which it takes out of the vocabulary


class _Ids:
    """What a converter wants of a tokenizer, with ids for names."""

    special_tokens_map: dict[str, object] = {}  # noqa: RUF012
    unk_token_id = -1
    num_madeup_words = 0

    def __init__(self, config: Any, rows: int) -> None:
        self._rows, self._marian = rows, config.model_type == "marian"
        if self._marian and config.pad_token_id != rows - 1:
            raise ExportError(
                f"this Marian model pads with id {config.pad_token_id}", expected=f"its last id, {rows - 1}"
            )
        self.eos_token = _named(config.eos_token_id) or "0"
        self.bos_token = _named(config.bos_token_id) or self.eos_token
        self.pad_token = _named(config.pad_token_id) or self.eos_token
        self.unk_token = self.eos_token  # never looked up: every id is in the vocabulary

    def get_vocab(self) -> dict[str, int]:
        names = [str(number) for number in range(self._rows)]
        if self._marian:
            names[-1] = _PAD
        return {name: number for number, name in enumerate(names)}

    def convert_ids_to_tokens(self, number: int) -> str:
        return str(number)


def _named(ids: int | list[int] | None) -> str | None:
    found = _several(ids)
    return str(found[0]) if found else None


def convert(checkpoint: Path, target: Path, *, quantization: str | None) -> Any:
    """Write the directory ``target`` and return the Transformers model it was made of.

    Raises:
        ExportError: a family that CTranslate2 does not know.
    """
    from ctranslate2.converters import TransformersConverter

    torch = require("torch", extra="train")
    kept: list[Any] = []

    class Converter(TransformersConverter):  # type: ignore[misc]
        def load_model(self, model_class: Any, path: str, **settings: Any) -> Any:
            settings |= {"dtype": torch.float32, "local_files_only": True}
            kept.append(model_class.from_pretrained(path, **settings).eval())
            return kept[0]

        def load_tokenizer(self, tokenizer_class: Any, path: str, **settings: Any) -> Any:
            del tokenizer_class, path, settings
            return _Ids(kept[0].config, kept[0].get_input_embeddings().weight.shape[0])

    if not any((checkpoint / name).is_file() for name in (WEIGHT_FILE, WEIGHT_INDEX)):
        raise ExportError(f"{checkpoint} holds no safetensors weights", expected=WEIGHT_FILE)
    try:
        Converter(str(checkpoint)).convert(str(target), quantization=quantization, force=True)
    except (ValueError, NotImplementedError, KeyError, AttributeError) as error:
        raise ExportError(f"CTranslate2 cannot take {checkpoint}: {error}") from error
    return kept[0]


def shape_of(model: Any) -> GeneratorShape:
    """What the converted model takes and gives."""
    config = model.config
    rows = model.get_input_embeddings().weight.shape[0]
    ends = [*_several(config.eos_token_id), *_several(model.generation_config.eos_token_id)]
    positions = None if config.model_type in ("t5", "mt5", "umt5") else config.max_position_embeddings
    return GeneratorShape(
        kind="encoder-decoder" if config.is_encoder_decoder else "decoder",
        vocabulary=rows - (config.model_type == "marian"),
        end_ids=tuple(dict.fromkeys(ends)),
        max_tokens=positions,
    )


def _several(ids: int | list[int] | None) -> list[int]:
    return [] if ids is None else ids if isinstance(ids, list) else [ids]


def reference(checkpoint: Path, prompts: Path) -> list[dict[str, Any]]:
    """What Transformers itself writes, greedily, on the probes, and the log-probability of each token.

    The checkpoint is loaded anew: converters take models apart.
    """
    torch, transformers = require("torch", extra="train"), require("transformers", extra="train")
    config = transformers.AutoConfig.from_pretrained(checkpoint)
    kind = transformers.AutoModelForSeq2SeqLM if config.is_encoder_decoder else transformers.AutoModelForCausalLM
    model = kind.from_pretrained(checkpoint, dtype=torch.float32).eval()
    shape, answers = shape_of(model), []
    for prompt in read_prompts(prompts):
        given = torch.tensor([[*prompt.ids]])
        with torch.no_grad():
            ids, logprobs = _greedy(model, given, prompt.prefix, shape)
        answers.append({"ids": ids, "logprobs": logprobs})
    return answers


def _greedy(model: Any, given: Any, prefix: Any, shape: GeneratorShape) -> tuple[list[int], list[float]]:
    """A plain loop without a cache: what a generation config says of lengths and forced tokens does not come in."""
    torch = require("torch", extra="train")
    encoded = model.get_encoder()(given) if shape.kind == "encoder-decoder" else None
    so_far = given if encoded is None else torch.tensor([[model.config.decoder_start_token_id, *prefix]])
    begun, logprobs = so_far.shape[1], []
    for _ in range(ANSWER_TOKENS):
        if encoded is None:
            logits = model(so_far, use_cache=False).logits
        else:
            logits = model(encoder_outputs=encoded, decoder_input_ids=so_far, use_cache=False).logits
        logs = logits[0, -1, : shape.vocabulary].float().log_softmax(-1)
        best = int(logs.argmax())
        logprobs.append(float(logs[best]))
        so_far = torch.cat([so_far, torch.tensor([[best]])], dim=1)
        if best in shape.end_ids:
            break
    return so_far[0, begun:].tolist(), logprobs


def main() -> None:
    """Arguments: checkpoint directory, directory to write, prompts file, answers file, quantization or ``none``."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    checkpoint, target, prompts, answers = (Path(text) for text in sys.argv[1:5])
    quantization = None if sys.argv[5] == "none" else sys.argv[5]
    try:
        model = convert(checkpoint, target, quantization=quantization)
        (target / SHAPE_FILE).write_text(shape_of(model).model_dump_json(indent=2) + "\n", encoding="utf-8")
        del model
        answers.write_text(json.dumps(reference(checkpoint, prompts)), encoding="utf-8")
    except PenjingError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
