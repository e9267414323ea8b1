"""``penjing knowledge``: a knowledge base with the models of a store, in this process.

::

    with penjing.open_knowledge(Path("handbook.kb"), embedder="embedder", reader="reader") as handbook:
        handbook.add([Path("handbook/")])
        print(handbook.ask("How long is the warranty?").best)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, final

from penjing.app.knowledge_models import LocalModels, pinned
from penjing.core.errors import DataError
from penjing.core.progress import SILENT, Progress
from penjing.core.recipe import check_recipe, resolve_recipe
from penjing.knowledge.adding import CALIBRATION, RECIPE, Added, add, refuse_other
from penjing.knowledge.asking import KnowledgeAnswer, Option, ask, options
from penjing.knowledge.confidence import Calibration, calibrated_with
from penjing.knowledge.documents import Document
from penjing.knowledge.formats.registry import documents_in, files_in
from penjing.knowledge.generating import in_sentences, must_generate
from penjing.knowledge.keeping import Base, Listed
from penjing.knowledge.models import at_once
from penjing.knowledge.opening import base_at
from penjing.knowledge.recipe import KnowledgeRecipe
from penjing.knowledge.search import Found, search
from penjing.store import Store

DEFAULT_STORE = Path("store")


@final
class Knowledge:
    """A knowledge base, and the models that it asks; they are loaded when first asked.

    Args:
        base: where documents are kept.
        told: how; kept in the base with the documents.
        store: where the models lie.

    Attributes:
        base: for what needs no model.
        told: the recipe.
    """

    def __init__(self, base: Base, told: KnowledgeRecipe, *, store: Path) -> None:
        self.base, self.told = base, told
        self._models = LocalModels(told, store=store)

    def add(self, sources: Sequence[Path | Document], *, progress: Progress = SILENT) -> Added:
        """Add files, folders or documents at hand; what is there already and has not changed stays as it is.

        Raises:
            DataError: a file that cannot be read, unless ``documents.skip_bad`` leaves it out; what came before
                it is kept.
        """
        self.base.keep({RECIPE: self.told.model_dump(mode="json")})
        left_out: list[str] = []
        done = at_once(
            add(
                self.base,
                self._documents(sources, left_out),
                models=self._models,
                told=self.told,
                token_spans=self._models.token_spans,
                watch=_telling(progress),
            )
        )
        done.left_out = left_out
        return done

    def ask(self, question: str, *, generate: bool = False) -> KnowledgeAnswer:
        """Answer a question.

        Args:
            question: in any words.
            generate: also write the answer in sentences, by the recipe's generator, where the base holds one.

        Raises:
            NotFoundError: there is no such base.
            InvalidRequestError: a question that is none, or that leaves the generator no room.
            UsageError: no generator to write.
        """
        if generate:
            must_generate(self.told)
        self.base.must_exist()
        figures = Calibration.of_base(self.base.settings().get(CALIBRATION), of=self.calibrated_with)
        answer = at_once(ask(self.base, question, models=self._models, told=self.told, calibration=figures))
        if not generate or answer.best is None:
            return answer
        return at_once(in_sentences(answer, self._models.writer(), self.told.generation))

    def options(self, question: str) -> list[Option]:
        """All that the reader finds in the passages it may read: what :meth:`ask` chooses from."""
        self.base.must_exist()
        return at_once(options(self.base, question, models=self._models, told=self.told))

    @property
    def calibrated_with(self) -> str:
        """The models that figures of confidence hold for."""
        return calibrated_with(self.told.embedder, self._models.reader_reference, self.told.reranker)

    def search(self, question: str, *, most: int = 5) -> list[Found]:
        """The passages that speak to a question, best first."""
        self.base.must_exist()
        return at_once(search(self.base, question, models=self._models, told=self.told, most=most))

    def remove(self, names: Sequence[str]) -> None:
        """Remove documents by their ids: all or none.

        Raises:
            NotFoundError: one is not there.
        """
        self.base.remove(names)

    def documents(self) -> list[Listed]:
        """All documents."""
        self.base.must_exist()
        return self.base.documents()

    def close(self) -> None:
        """Free the models. Idempotent."""
        self._models.close()
        self.base.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _documents(self, sources: Sequence[Path | Document], left_out: list[str]) -> Iterator[Document]:
        for source in sources:
            if isinstance(source, Document):
                yield source
                continue
            for file in files_in(Path(source)):
                yield from self._read(file, left_out)

    def _read(self, file: Path, left_out: list[str]) -> Iterator[Document]:
        try:
            yield from documents_in(file, self.told.documents)
        except DataError as error:
            if not self.told.documents.skip_bad:
                raise
            left_out.append(str(error))


def open_knowledge(
    place: Path | str,
    *,
    embedder: str | None = None,
    reader: str | None = None,
    reranker: str | None = None,
    generator: str | None = None,
    recipe: Path | None = None,
    sets: Iterable[str] = (),
    store: Path = DEFAULT_STORE,
) -> Knowledge:
    """Open a knowledge base; it is made when the first document is added.

    What the base was told before holds; what is told now goes on top, and is kept when documents are added.

    Args:
        place: of the file; or URL of a PostgreSQL database, see :func:`penjing.knowledge.opening.base_at`.
        embedder: see :class:`penjing.knowledge.KnowledgeRecipe`.
        reader: the same.
        reranker: the same.
        generator: the same.
        recipe: YAML file.
        sets: ``key=value`` of recipe keys.
        store: where the models lie.

    Raises:
        NotFoundError: a model that the store has not.
        RecipeError: with all faults.
        UsageError: the base holds documents of another embedding model, or that were cut otherwise.
    """
    base = base_at(place)
    kept = base.settings().get(RECIPE)
    flags = {"embedder": embedder, "reader": reader, "reranker": reranker, "generator": generator}
    told = pinned(resolve_recipe(KnowledgeRecipe, recipe, sets, flags=flags, base=kept), Store(store))
    if kept is not None and base.count()[0]:
        refuse_other(check_recipe(KnowledgeRecipe, kept, origin=base.place), told)
    return Knowledge(base, told, store=store)


def _telling(progress: Progress) -> Callable[[Added], None]:
    def tell(done: Added) -> None:
        progress.say(f"{done.added + done.replaced:,} documents in {done.passages:,} passages")

    return tell
