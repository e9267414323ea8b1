"""GGUF files, llama.cpp's, as checkpoints: read where Transformers reads them, once, and kept in the cache.

Promise: the weights are those that Transformers makes of the file, in fp32; quantised ones are not made better by
that, only computable. The tokenizer and its chat template come from the file too. Nothing in it is run or unpickled.
"""

from __future__ import annotations

import shutil
import tempfile
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

from penjing.core.errors import CheckpointError
from penjing.core.extras import require
from penjing.core.files import sha256_file
from penjing.data import cache_dir
from penjing.models.quiet import quiet_transformers

SUFFIX = ".gguf"
_MAGIC = b"GGUF"


def gguf_file(path: Path) -> Path | None:
    """The GGUF file that a path is, or that lies alone in a directory without a checkpoint; None if there is none.

    Raises:
        CheckpointError: a directory with several.
    """
    if path.is_file():
        return path if path.suffix.lower() == SUFFIX else None
    found = sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() and not (path / "config.json").is_file() else []
    if len(found) > 1:
        raise CheckpointError(
            f"{path} holds {len(found)} GGUF files", expected="one", do=f"Name one of them, such as {found[0]}."
        )
    return found[0] if found else None


def convert_gguf(file: Path) -> Path:
    """The checkpoint of a GGUF file, written when it is first wanted.

    Raises:
        CheckpointError: no GGUF file, or one that Transformers does not read.
        ResourceError: ``gguf``, ``accelerate`` or Transformers is not installed.
    """
    with file.open("rb") as head:
        if head.read(4) != _MAGIC:
            raise CheckpointError(f"{file} is no GGUF file", expected="one that begins with GGUF", do="Copy it again.")
    home = cache_dir() / "gguf"
    kept = home / sha256_file(file)[:32]
    if (kept / "config.json").is_file():
        return kept
    home.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=home))
    try:
        _write(file, scratch)
        if not (kept / "config.json").is_file():  # two at once write the same
            scratch.rename(kept)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return kept


def _write(file: Path, target: Path) -> None:
    require("gguf", extra="gguf")
    require("accelerate", extra="gguf")
    transformers, torch = require("transformers", extra="train"), require("torch", extra="train")
    told = {"gguf_file": file.name, "local_files_only": True}
    try:
        with quiet_transformers(), redirect_stderr(StringIO()):  # its bar of tensors heeds no switch
            tokenizer = transformers.AutoTokenizer.from_pretrained(file.parent, **told)
            model = transformers.AutoModelForCausalLM.from_pretrained(file.parent, dtype=torch.float32, **told)
            model.hf_quantizer = None  # the weights are plain ones by now, and only so are written
            if hasattr(model.config, "quantization_config"):
                del model.config.quantization_config
            model.save_pretrained(target)
            tokenizer.save_pretrained(target)
    except Exception as error:  # readers of foreign files raise errors of every kind
        said = " ".join(str(error).split())[:300]
        raise CheckpointError(
            f"Transformers cannot read {file}: {type(error).__name__}: {said}",
            expected="a GGUF file of an architecture and quantisation it knows",
            do="Take the model's own checkpoint in safetensors.",
        ) from error
