"""LitServe over ONNX Runtime int8, tuned: padded batches, a worker of one thread for each core.

``litserve_app.py ONNX TOKENIZER PORT MAX_TOKENS``, the ONNX file with inputs ``input_ids`` and ``attention_mask``.
"""

import sys

import litserve
import numpy as np
import onnxruntime
from tokenizers import Tokenizer

file, tokenizer, port, max_tokens = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])


class Classifier(litserve.LitAPI):
    """Batches of what has come within 5 ms, 16 at most."""

    def setup(self, device: str) -> None:
        """Load; called in each worker."""
        del device
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        self.tokenizer = Tokenizer.from_file(tokenizer)
        self.tokenizer.enable_truncation(max_tokens)
        self.tokenizer.enable_padding()

    def decode_request(self, request: dict[str, str]) -> str:
        """One text."""
        return request["text"]

    def predict(self, texts: list[str]) -> list[int]:
        """Best label of each."""
        made = self.tokenizer.encode_batch(list(texts))
        fed = {
            "input_ids": np.array([one.ids for one in made], np.int64),
            "attention_mask": np.array([one.attention_mask for one in made], np.int64),
        }
        return [int(best) for best in self.session.run(None, fed)[0].argmax(axis=1)]

    def encode_response(self, output: int) -> dict[str, int]:
        """Its number."""
        return {"label": output}


if __name__ == "__main__":
    api = Classifier(max_batch_size=16, batch_timeout=0.005)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=2)
    server.run(port=port, host="127.0.0.1", generate_client_file=False, log_level="warning")
