"""What a knowledge base is told. Kept in the base, so that later commands need not be told again."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from penjing.core.nouns import Frozen


class DocumentsRecipe(Frozen):
    """How files are read, and where reading stops.

    Attributes:
        encoding: of text, Markdown, HTML and tables; None is UTF-8, or what a byte order mark or the page says.
        encoding_errors: ``replace`` puts U+FFFD for bytes that do not decode.
        question, answer: columns of a table of questions and answers.
        text: column of a table of documents.
        title, id: columns that a table may have.
        max_file_mib: larger files are refused; of DOCX also what it unpacks to.
        max_pages: PDFs with more are refused.
        skip_bad: leave out files that cannot be read, and say so, instead of stopping.
    """

    encoding: str | None = None
    encoding_errors: Literal["strict", "replace"] = "strict"
    question: str = "question"
    answer: str = "answer"
    text: str = "text"
    title: str = "title"
    id: str = "id"
    max_file_mib: float = Field(64.0, gt=0)
    max_pages: int = Field(2000, ge=1)
    skip_bad: bool = False


class ChunksRecipe(Frozen):
    """How documents are cut into passages.

    Attributes:
        max_tokens: of a passage, by the embedding model's tokenizer; without one, words and Chinese characters.
        overlap: tokens that a passage may repeat of the one before it, in whole sentences where they fit.
    """

    max_tokens: int = Field(128, ge=8, le=8192)
    overlap: int = Field(24, ge=0)

    @model_validator(mode="after")
    def _moves_on(self) -> Self:
        if self.overlap > self.max_tokens // 2:
            raise ValueError(f"overlap is {self.overlap}; expected at most half of max_tokens, {self.max_tokens // 2}")
        return self


class SearchRecipe(Frozen):
    """How passages are found and read.

    Attributes:
        candidates: passages that each way of searching brings.
        by: ``auto`` is hybrid where the base has an embedding model, else bm25.
        rerank: of the best, how many a cross-encoder puts in order, where there is one.
        read: passages in which the answer is looked for.
        read_first: of these, those that are read at a time, the best before the others; once an answer is sure
            enough the others are left unread. None reads all at once.
        sure: confidence from which on an answer stands, and no more passages are read.
        threshold: confidence under which the answer is "not in the knowledge base"; None takes the calibration's.
    """

    candidates: int = Field(30, ge=1, le=1000)
    by: Literal["auto", "bm25", "dense", "hybrid"] = "auto"
    rerank: int = Field(10, ge=1, le=200)
    read: int = Field(3, ge=1, le=100)
    read_first: int | None = Field(1, ge=1)
    sure: float = Field(0.4, ge=0, le=1)
    threshold: float | None = Field(None, ge=0, le=1)


class GenerationRecipe(Frozen):
    """How answers are written in sentences, where that is asked for.

    Attributes:
        passages: that the model reads, the one with the answer first; fewer where it has no room.
        max_tokens: of an answer.
        grounded: share of the answer's content words that must stand in the passages for it to be given; a number
            that stands in none refuses it whatever the share.
    """

    passages: int = Field(3, ge=1, le=100)
    max_tokens: int = Field(96, ge=1, le=4096)
    grounded: float = Field(0.7, ge=0, le=1)


class KnowledgeRecipe(Frozen):
    """A knowledge base.

    Attributes:
        embedder: version that embeds passages and questions; None searches by words alone. The base keeps to the
            very version that its first document was embedded with.
        reader: question-answering version that finds answers in passages; None gives passages only.
        reranker: classifier of pairs with one label, which says how well a passage answers a question.
        generator: text-generation version that writes an answer in sentences from the passages, where that is asked.
    """

    embedder: str | None = None
    reader: str | None = None
    reranker: str | None = None
    generator: str | None = None
    documents: DocumentsRecipe = DocumentsRecipe()
    chunks: ChunksRecipe = ChunksRecipe()
    search: SearchRecipe = SearchRecipe()
    generation: GenerationRecipe = GenerationRecipe()
