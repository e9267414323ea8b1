"""Adapters to train, by PEFT: put into a Transformers model, trained through the packed forward, saved as a delta.

The packed encoder walks over a model's linear parts; PEFT replaces some of them by parts of the same call. So the
walk needs no word of adapters. Saved in PEFT's own format; ``delta.json`` beside it says what the base was.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from penjing.core.errors import UsageError
from penjing.core.extras import require
from penjing.core.nouns import Task
from penjing.models.decoder import DECODERS
from penjing.models.deltas.difference import Base, tensors_of
from penjing.models.deltas.facts import DIFFERENCE_FILE, Delta, DeltaFacts, How, TensorFacts, files_of, write_facts
from penjing.models.deltas.merging import PREFIX
from penjing.models.deltas.recipe import AdapterRecipe, Target
from penjing.models.deltas.tensors import digest_of, match_names, read_tensors, write_tensors
from penjing.models.families import encoder_parts
from penjing.models.tasks import task_of
from penjing.models.weights import refused_writes_told

# Part of a layer → the modules of a decoder that are it. GPT-2 has one matrix for queries, keys and values.
_DECODER_PARTS: dict[Target, tuple[str, ...]] = {
    "query": ("self_attn.q_proj",),
    "key": ("self_attn.k_proj",),
    "value": ("self_attn.v_proj",),
    "attention_out": ("self_attn.o_proj",),
    "up": ("mlp.gate_proj", "mlp.up_proj"),
    "down": ("mlp.down_proj",),
}
_GPT2_PARTS: dict[Target, tuple[str, ...]] = {
    "query": ("attn.c_attn",),
    "key": ("attn.c_attn",),
    "value": ("attn.c_attn",),
    "attention_out": ("attn.c_proj",),
    "up": ("mlp.c_fc",),
    "down": ("mlp.c_proj",),
}
_WITH_NEW_HEAD = {Task.TEXT_CLASSIFICATION, Task.TOKEN_CLASSIFICATION, Task.QUESTION_ANSWERING}
_TASK_TYPES = {
    Task.TEXT_CLASSIFICATION: "SEQ_CLS",
    Task.TOKEN_CLASSIFICATION: "TOKEN_CLS",
    Task.QUESTION_ANSWERING: "QUESTION_ANS",
    Task.FEATURE_EXTRACTION: "FEATURE_EXTRACTION",
    Task.TEXT_GENERATION: "CAUSAL_LM",
}


class Adapters:
    """A model whose adapters and head are trained, and nothing else.

    Args:
        model: a Transformers model of a known family, freshly loaded; changed in place.
        recipe: which adapters.
        frozen_layers: the first so many layers get none.

    Attributes:
        model: the same object, to be trained.
    """

    def __init__(self, model: Any, recipe: AdapterRecipe, *, frozen_layers: int = 0) -> None:
        peft = require("peft", extra="adapters")
        self.model = model
        self._method = recipe.method
        self._names = {name: value.detach() for name, value in model.state_dict().items()}
        self._targets = _targets(model, recipe, frozen_layers)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # PEFT asks Transformers by a name that will go
            self._peft = peft.get_peft_model(model, _config(peft, recipe, self._targets, model))

    def save(self, base: Base, target: Path) -> Delta:
        """Write the delta into ``target``, beside the tokenizer.

        Raises:
            ResourceError: the disk refused it.
        """
        target.mkdir(parents=True, exist_ok=True)
        self._peft.peft_config["default"].base_model_name_or_path = base.name
        with refused_writes_told(target):
            self._peft.save_pretrained(target, save_embedding_layers=False)
        (target / "README.md").unlink(missing_ok=True)  # PEFT's empty form of a model card
        self.model.config.architectures = [type(self.model).__name__]
        self.model.config.save_pretrained(target)
        if self.model.can_generate():
            self.model.generation_config.save_pretrained(target)
        return self._write_facts(base, target)

    def _write_facts(self, base: Base, target: Path) -> Delta:
        stored = {name.removeprefix(PREFIX) for name in read_tensors(target / "adapter_model.safetensors")}
        names = match_names(self._names, base.tensors)
        facts, beside = {}, {}
        matched = {self._names[name].data_ptr() for name, of in names.items() if of is not None}
        for name, tensor in self._names.items():
            if names[name] is None and tensor.data_ptr() in matched:
                continue  # a vocabulary head that is the embeddings' own matrix: no file holds it twice
            how = self._how(name, of=names[name], is_stored=name in stored)
            facts[name] = TensorFacts(how=how, of=names[name], shape=tuple(tensor.shape), dtype=str(tensor.dtype)[6:])
            if how == "whole" and name not in stored:
                beside[name] = tensor  # new, yet not trained: the pooler of an encoder that came without one
        if beside:
            write_tensors(beside, target / DIFFERENCE_FILE)
        told = DeltaFacts(
            form="adapter",
            base=base.facts({name: fact.of for name, fact in facts.items()}),
            weights=digest_of({}),
            tensors=facts,
            files=files_of(target),
        )
        weights = digest_of(tensors_of(Delta(target, told), base.tensors))
        return write_facts(target, told.model_copy(update={"weights": weights}))

    def _how(self, name: str, *, of: str | None, is_stored: bool) -> How:
        if is_stored or of is None:
            return "whole"
        module, _, part = name.rpartition(".")
        if module not in self._targets:
            return "same"
        scales_bias = self._method == "ia3" and self._targets[module] != "down"  # what goes in has no bias
        return self._method if part == "weight" or scales_bias else "same"


def _config(peft: Any, recipe: AdapterRecipe, targets: dict[str, Target], model: Any) -> Any:
    task = task_of({"architectures": [type(model).__name__]})
    told: dict[str, Any] = {
        "task_type": None if task is None else _TASK_TYPES.get(task),
        "target_modules": list(targets),
        "modules_to_save": _trained_whole(model, task) or None,
    }
    turned = model.config.model_type == "gpt2"  # its matrices lie the other way
    if turned and recipe.method != "lora":
        raise UsageError(f"training.delta.method is {recipe.method}", expected="lora, the only one for gpt2")
    if recipe.method == "ia3":
        return peft.IA3Config(feedforward_modules=[name for name, part in targets.items() if part == "down"], **told)
    return peft.LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        lora_dropout=recipe.dropout,
        use_dora=recipe.method == "dora",
        fan_in_fan_out=turned,
        **told,
    )


def _targets(model: Any, recipe: AdapterRecipe, frozen_layers: int) -> dict[str, Target]:
    """The linear parts that get an adapter: name → what they are of their layer."""
    names = {id(module): name for name, module in model.named_modules()}
    kind = model.config.model_type
    if kind not in DECODERS:
        layers = encoder_parts(model).layers[frozen_layers:]
        return {names[id(getattr(layer, part))]: part for layer in layers for part in recipe.targets}
    parts = _GPT2_PARTS if kind == "gpt2" else _DECODER_PARTS
    blocks = getattr(model.base_model, DECODERS[kind])[frozen_layers:]
    return {f"{names[id(b)]}.{module}": part for b in blocks for part in recipe.targets for module in parts[part]}


def _trained_whole(model: Any, task: Task | None) -> list[str]:
    """What stands on the encoder, and the pooler where a classifier reads through it."""
    names = [name for name, _ in model.named_children()] if task in _WITH_NEW_HEAD else []
    prefix = model.base_model_prefix
    heads = [name for name in names if name != prefix and any(True for _ in getattr(model, name).parameters())]
    pooler = getattr(model.base_model, "pooler", None)
    return [*heads, f"{prefix}.pooler"] if task is Task.TEXT_CLASSIFICATION and pooler is not None else heads
