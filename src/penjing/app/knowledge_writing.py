"""The model of a store that writes a knowledge base's answers in sentences, run in this process."""

from __future__ import annotations

from typing import final

from penjing.app.judging import open_drafted
from penjing.engines import GenerationOptions, Generator, Token
from penjing.knowledge.written import STOPS, Wording
from penjing.serve.writing.stopping import Stopper
from penjing.serve.writing.writer import Writer
from penjing.store import Bundle


@final
class LocalWriter:
    """See the module and :class:`penjing.knowledge.written.Writer`.

    Args:
        bundle: of a version for text generation.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._engine: Generator = open_drafted(bundle.path, bundle.manifest)
        self._side = Writer(bundle.file(bundle.manifest.text.tokenizer), self._engine.shape)
        self.reference, self.marks = bundle.reference, self._side.marks

    async def room(self, request: str) -> int:
        """See :class:`penjing.knowledge.written.Writer`."""
        return self._side.room(self._side.turn(request))

    async def write(self, request: str, *, max_tokens: int) -> Wording:
        """See :class:`penjing.knowledge.written.Writer`."""
        prompt = self._side.turn(request)
        stream, stopper, told = self._side.stream(prompt), Stopper(() if self._side.chats else STOPS), [""]

        def on_token(row: int, token: Token) -> bool:
            del row
            told.append(stopper.take(stream.take(token.id)))
            return stopper.hit is not None

        options = GenerationOptions(max_tokens=max_tokens)
        ((written, *_),) = self._engine.generate([prompt], options, on_token=on_token)
        told += [stopper.take(stream.rest()), stopper.rest()]
        stopped = written.finish == "stop" or stopper.hit is not None
        return Wording("".join(told), "stop" if stopped else "length")

    def close(self) -> None:
        """Close the engine. Idempotent."""
        self._engine.close()
