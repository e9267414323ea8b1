"""What the server and its models are: metadata, configuration, readiness, statistics.

Source: Open Inference Protocol, "Server Metadata", "Model Metadata"; Triton's extensions for model
configuration and statistics.
"""

from __future__ import annotations

from typing import Any

from penjing.core.version import __version__
from penjing.serve.api.open_inference.replies import EMBEDDING, LOGITS, TEXT_OUTPUT, in_words, outputs_for
from penjing.serve.api.open_inference.requests import datatypes_of
from penjing.serve.decoding import PROBABILITIES, SCORE
from penjing.serve.sight import KnownModels
from penjing.serve.versions import State, Version

EXTENSIONS = (
    "binary_tensor_data",
    "classification",
    "generate",
    "model_configuration",
    "model_repository",
    "parameters",
    "schedule_policy",
    "statistics",
)
_CONFIG_TYPES = {"BYTES": "TYPE_STRING", "INT64": "TYPE_INT64", "FP32": "TYPE_FP32"}


def server_metadata() -> dict[str, Any]:
    """Name, version and extensions."""
    return {"name": "penjing", "version": __version__, "extensions": list(EXTENSIONS)}


def model_metadata(version: Version, models: KnownModels) -> dict[str, Any]:
    """Inputs and outputs of a version, and which other versions can be asked for."""
    shelf = models.shelf(version.model)
    numbers = sorted(one.number for one in shelf.available()) if shelf else []
    return {
        "name": version.model,
        "versions": [str(number) for number in numbers],
        "platform": _platform(version),
        "inputs": _inputs(version),
        "outputs": _outputs(version),
    }


def model_config(version: Version) -> dict[str, Any]:
    """The same in the words of Triton's configuration; no batch dimension is set apart."""
    return {
        "name": version.model,
        "platform": "",
        "backend": _platform(version),
        "max_batch_size": 0,
        "input": [_configured(one) | {"optional": True} for one in _inputs(version)],
        "output": [_configured(one) for one in _outputs(version)],
    }


def statistics(versions: list[Version]) -> dict[str, Any]:
    """What each version has done since it was loaded. Batches by their size are not counted."""
    return {"model_stats": [_usage(version) for version in versions if version.state is State.AVAILABLE]}


def _usage(version: Version) -> dict[str, Any]:
    usage, lane = version.usage, version.lane
    done = usage.answered
    return {
        "name": version.model,
        "version": str(version.number),
        "last_inference": int(usage.last_s * 1000),
        "inference_count": usage.sequences,
        "execution_count": lane.executions if lane else 0,
        "inference_stats": {
            "success": _duration(done, usage.answered_s),
            "fail": _duration(usage.failed, usage.failed_s),
            "queue": _duration(done, usage.queue_ms / 1000),
            "compute_input": _duration(done, usage.tokenize_ms / 1000),
            "compute_infer": _duration(done, usage.run_ms / 1000),
            "compute_output": _duration(done, 0.0),
            "cache_hit": _duration(0, 0.0),
            "cache_miss": _duration(0, 0.0),
        },
        "batch_stats": [],
    }


def _duration(count: int, seconds: float) -> dict[str, int]:
    return {"count": count, "ns": round(seconds * 1e9)}


def _platform(version: Version) -> str:
    engine = version.servable.manifest.engine
    return f"penjing_{engine.name}" if engine else "penjing"


def _inputs(version: Version) -> list[dict[str, Any]]:
    """All that a request may carry: texts or token ids."""
    engine = version.servable.manifest.engine
    left_out = set() if engine is None or engine.takes_type_ids else {"token_type_ids"}
    if version.servable.manifest.embedding or version.servable.writes:
        left_out.add("text_pair")
    if version.servable.writes:
        left_out |= {"input_ids", "attention_mask"}
    return [
        {"name": name, "datatype": datatypes[0], "shape": [-1] if datatypes[0] == "BYTES" else [-1, -1]}
        for name, datatypes in datatypes_of(version.servable).items()
        if name not in left_out
    ]


def _outputs(version: Version) -> list[dict[str, Any]]:
    if embedding := version.servable.manifest.embedding:
        return [{"name": EMBEDDING, "datatype": "FP32", "shape": [-1, embedding.size]}]
    if version.servable.writes:
        return [{"name": TEXT_OUTPUT, "datatype": "BYTES", "shape": [-1]}]
    classes = len(version.servable.labels) or -1
    if version.servable.answering.reads == "chosen":
        return [{"name": in_words(version.servable), "datatype": "BYTES", "shape": [-1]}]
    if version.servable.answering.reads == "tokens":
        return [
            {"name": in_words(version.servable), "datatype": "BYTES", "shape": [-1]},
            {"name": LOGITS, "datatype": "FP32", "shape": [-1, -1, classes]},
        ]
    return [
        {
            "name": name,
            "datatype": "FP32" if name in (SCORE, PROBABILITIES, LOGITS) else "BYTES",
            "shape": [-1, classes] if name in (PROBABILITIES, LOGITS) else [-1],
        }
        for name in outputs_for(version.servable, is_text=True)
    ]


def _configured(tensor: dict[str, Any]) -> dict[str, Any]:
    return {"name": tensor["name"], "data_type": _CONFIG_TYPES[tensor["datatype"]], "dims": tensor["shape"]}
