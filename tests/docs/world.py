"""The small world in which the README and the tutorial are carried out as they stand.

Commands name ``all-minilm-l6-v2``; here Penjing's cache holds a tiny encoder under that name, made
from the words of the tutorial's own file so that it tells the labels apart, as the real one does.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from docs.markdown import DOCS, ROOT
from penjing.data import WEIGHTS
from penjing.store import Store

PORT = "8501"
TICKETS = DOCS / "tutorial" / "tickets.csv"
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
_HIDDEN, _NORM = 32, 16.0


class World:
    """A working directory with a shell.

    Args:
        folder: empty; the commands run here, as in the root of a checkout.
        cache: Penjing's cache.
    """

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder, self._port, self._servers = folder, _free_port(), []
        binaries = Path(sys.executable).parent
        self._environment = os.environ | {"PATH": f"{binaries}:{os.environ['PATH']}", "PENJING_CACHE": str(cache)}
        self._environment.pop("PENJING_STORE", None)
        for source in (*TICKETS.parent.glob("*.*"), *ROOT.glob("recipes/*")):
            beside = folder / source.relative_to(ROOT)
            beside.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, beside)

    def type(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a shell command to its end; a server is left running instead."""
        if command.startswith("penjing serve"):
            self._serve(command)
            return subprocess.CompletedProcess(command, 0, "", "")
        return self._run(["bash", "-o", "pipefail", "-c", self._here(command)])

    def python(self, code: str) -> subprocess.CompletedProcess[str]:
        """Run a program."""
        return self._run([sys.executable, "-W", "error", "-c", self._here(code)])

    def publish_as(self, model: str, original: str) -> None:
        """A copy of another model's newest version, under the name that the README uses."""
        store = Store(self.folder / "store")
        bundle = store.bundle(original)
        with store.stage(model) as staging:
            for name in bundle.manifest.files:
                (staging.path / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(bundle.path / name, staging.path / name)
            staging.publish(bundle.manifest.draft())

    def greeting(self) -> str:
        """What the server said when it began."""
        lines = (self.folder / "server.log").read_text(encoding="utf-8").splitlines(keepends=True)
        return [line for line in lines if line.startswith("Serving ")][-1].replace(str(self._port), PORT)

    def stop(self) -> None:
        """End the servers."""
        for server in self._servers:
            server.terminate()
            server.wait(timeout=40)
        self._servers.clear()

    def _here(self, text: str) -> str:
        return text.replace(PORT, str(self._port))

    def _run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        options = {"cwd": self.folder, "env": self._environment, "capture_output": True, "text": True, "timeout": 280}
        return subprocess.run(command, check=False, **options)

    def _serve(self, command: str) -> None:
        self.stop()
        line = f"exec {command} --port {self._port}"
        with (self.folder / "server.log").open("ab") as log:
            self._servers.append(
                subprocess.Popen(["bash", "-c", line], cwd=self.folder, env=self._environment, stdout=log, stderr=log)
            )
        until = time.monotonic() + 60
        while not self._is_ready():
            assert self._servers[-1].poll() is None, (self.folder / "server.log").read_text()
            assert time.monotonic() < until, "the server did not get ready"
            time.sleep(0.1)

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/readyz", timeout=5) as reply:
                return reply.status == 200
        except OSError:
            return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def fill_cache(cache: Path) -> None:
    """Put a tiny encoder where the packaged weights would be."""
    source = WEIGHTS["all-minilm-l6-v2"]
    folder = cache / "packages" / f"{source.package}-{source.version}-{source.sha256[:12]}"
    folder.mkdir(parents=True)
    with TICKETS.open(encoding="utf-8") as file:
        rows = [(row["text"], row["label"]) for row in csv.DictReader(file) if row["text"]]
    tokenizer = _tokenizer([text for text, _ in rows])
    tokenizer.save(str(folder / "tokenizer.json"))
    save_file(_weights(_label_odds(rows, tokenizer)), folder / "model.safetensors", {"format": "pt"})
    config = {
        "architectures": ["BertModel"], "model_type": "bert", "vocab_size": tokenizer.get_vocab_size(),
        "hidden_size": _HIDDEN, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": _HIDDEN,
        "max_position_embeddings": 128, "pad_token_id": 0, "hidden_dropout_prob": 0.0, "initializer_range": 1e-5,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    for name in source.members:
        if not (folder / name).exists():
            (folder / name).write_text("{}", encoding="utf-8")


def _tokenizer(texts):
    splitter, lower = pre_tokenizers.BertPreTokenizer(), normalizers.BertNormalizer()
    words = {word for text in texts for word, _ in splitter.pre_tokenize_str(lower.normalize_str(text))}
    vocabulary = {word: number for number, word in enumerate([*_SPECIAL, *sorted(words)])}
    made = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    made.normalizer, made.pre_tokenizer = lower, splitter
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return made


def _label_odds(rows, tokenizer):
    """How much each word speaks for each label: log-odds of naive Bayes, (words, labels)."""
    names = sorted({label for _, label in rows})
    counts = np.full((tokenizer.get_vocab_size(), len(names)), 0.1)
    for text, label in rows:
        counts[sorted(set(tokenizer.encode(text).ids)), names.index(label)] += 1
    odds = np.log(counts) - np.log(counts).mean(axis=1, keepdims=True)
    odds = np.where(np.abs(odds) < 0.5, 0.0, odds)
    return odds - odds.mean(axis=1, keepdims=True)


def _weights(odds):
    """One layer that averages the odds of all words at the first token, as BERT's weights."""
    words, labels = odds.shape
    noise = np.random.default_rng(0)

    def matrix(diagonal=()):
        made = noise.normal(0, 1e-3, (_HIDDEN, _HIDDEN))
        made[range(len(diagonal)), range(len(diagonal))] += diagonal
        return made

    embedding = np.zeros((words, _HIDDEN))
    embedding[:, :labels] = odds
    # One norm for all words: the layer norm would make words that say little as loud as those that say much.
    rest = np.sqrt((_NORM**2 - (odds**2).sum(axis=1)) / 2)
    embedding[:, -2:] = np.stack([rest, -rest], axis=1)
    layer, diagonals = "encoder.layer.0.", {"attention.self.value": [1.0] * labels}
    diagonals |= {"attention.output.dense": [10.0] * labels}
    tensors = {
        "embeddings.word_embeddings.weight": embedding,
        "embeddings.position_embeddings.weight": np.zeros((128, _HIDDEN)),
        "embeddings.token_type_embeddings.weight": np.zeros((2, _HIDDEN)),
        "pooler.dense.weight": matrix([1.0] * labels),
        "pooler.dense.bias": np.zeros(_HIDDEN),
    }
    for name in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense",
                 "intermediate.dense", "output.dense"):  # fmt: skip
        tensors[f"{layer}{name}.weight"] = matrix(diagonals.get(name, ()))
        tensors[f"{layer}{name}.bias"] = np.zeros(_HIDDEN)
    for name in ("embeddings.", f"{layer}attention.output.", f"{layer}output."):
        tensors[f"{name}LayerNorm.weight"] = np.ones(_HIDDEN)
        tensors[f"{name}LayerNorm.bias"] = np.zeros(_HIDDEN)
    return {name: np.ascontiguousarray(values, np.float32) for name, values in tensors.items()}
