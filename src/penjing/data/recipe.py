"""What the ``data`` section of a recipe may say."""

from __future__ import annotations

import io
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from penjing.core.nouns import Frozen, Problem
from penjing.data.readers.options import ReadOptions

Fraction = Annotated[float, Field(gt=0, lt=1)]
Rows = Annotated[int, Field(ge=1)]
Source = Annotated[str, Field(min_length=1)]


class DataRecipe(Frozen):
    """Where labelled text comes from and what to do with what is wrong in it.

    A source is a file (``.csv .tsv .tab .jsonl .ndjson .json .conll .iob .bio``, each also with
    ``.gz``, SQuAD's form of ``.json`` included; ``.parquet .arrow .feather``), two files with aligned lines
    for translation (``train.{en,de}``, the source first), a folder with one
    subfolder of texts a label, a named data set (``20newsgroups``, ``reuters-r8``, ``reuters-r52``),
    ``hf:name[:config][?split=…&revision=…]`` or ``sklearn:20newsgroups[?remove=headers,footers,quotes]``.

    Attributes:
        train: source of the training rows.
        test: source of the test rows. None: the test split that ``train`` itself carries, else
            ``test_fraction`` of the training rows is held out.
        validation: source of the validation rows. None: the one ``train`` itself carries unless
            ``validation_fraction`` is given.
        format: of files whose suffix does not say it; None goes by the suffix.
        text, label, pair: column names; None looks for the usual ones. For translation ``text`` is the source and
            ``pair`` the target.
        problem_type: of text classification: ``single_label_classification``, ``multi_label_classification``
            (rows with a list of labels, perhaps empty) or ``regression`` (rows with a number). None is the
            second where ``label_separator`` or ``label_columns`` is given, else the first.
        out_of_scope: the label of texts that belong to none of the others, of text classification with one label a
            text. What separates them from the rest is settled on the validation split, and how well it does is
            measured apart.
        label_separator: between the labels of a cell, for several labels in CSV or TSV; such as ``|``.
        label_columns: columns that hold 1 where the label of their name holds and 0 where it does not, in place
            of ``label``.
        question, context, answers: column names for question answering; None looks for the usual ones.
        messages: column with a conversation, a list of turns with ``role`` and ``content``, for text generation;
            None looks for the usual ones.
        prompt, completion: column names for text generation; None looks for the usual ones.
        words, tags: columns with a list of words and one of their tags; None looks for the usual ones.
        columns: names for the columns of a CSV or TSV file that has no header line.
        encoding: of text files; None is UTF-8, or UTF-16 or UTF-32 where a byte order mark says so.
        encoding_errors: ``replace`` puts U+FFFD for undecodable bytes and counts the texts.
        delimiter: one character; None goes by the file's suffix.
        quotes: ``none`` takes quotation marks in CSV and TSV as plain characters.
        test_fraction: share of the distinct training texts held out when there is no test split.
        validation_fraction: share of the distinct training texts held out for validation; None is none.
        limit_train_rows: at most this many training rows, by seed, each label by its share.
        limit_eval_rows: the same for validation and for test, each.
        on_misaligned: entities that begin or end inside a word, or overlap: ``widen`` takes whole words and
            the longest of those that overlap, ``drop`` leaves the row out. Answers that do not stand where they
            should: ``widen`` takes the nearest place that holds them; one that stands nowhere teaches nothing
            and is only compared with. ``drop`` leaves the row out.
        on_empty: rows whose text is blank.
        on_unlabelled: rows without a label.
        on_unseen_label: evaluation rows whose label no training row has.
        on_leak: texts in more than one split; ``drop`` takes them out of train (and out of
            validation where they are in test), ``report`` only says so.
    """

    train: Source
    test: Source | None = None
    validation: Source | None = None
    format: Literal["csv", "tsv", "orange", "jsonl", "json", "squad", "conll", "parquet", "arrow"] | None = None
    text: str | None = None
    label: str | None = None
    pair: str | None = None
    problem_type: Problem | None = None
    out_of_scope: Annotated[str, Field(min_length=1)] | None = None
    label_separator: Annotated[str, Field(min_length=1)] | None = None
    label_columns: tuple[str, ...] | None = None
    question: str | None = None
    context: str | None = None
    answers: str | None = None
    messages: str | None = None
    prompt: str | None = None
    completion: str | None = None
    words: str | None = None
    tags: str | None = None
    columns: tuple[str, ...] | None = None
    encoding: str | None = None
    encoding_errors: Literal["error", "replace"] = "error"
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    quotes: Literal["double", "none"] = "double"
    test_fraction: Fraction = 0.2
    validation_fraction: Fraction | None = None
    limit_train_rows: Rows | None = None
    limit_eval_rows: Rows | None = None
    on_misaligned: Literal["error", "widen", "drop"] = "error"
    on_empty: Literal["drop", "error"] = "drop"
    on_unlabelled: Literal["drop", "error"] = "error"
    on_unseen_label: Literal["drop", "error"] = "error"
    on_leak: Literal["drop", "error", "report"] = "drop"

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                io.TextIOWrapper(io.BytesIO(), value)  # refuses what is no text encoding, such as hex, too
            except (LookupError, ValueError) as error:
                raise ValueError("unknown encoding; such as utf-8, gb18030, cp1252, latin-1") from error
        return value

    @field_validator("delimiter")
    @classmethod
    def _usable_delimiter(cls, value: str | None) -> str | None:
        if value is not None and value in '\r\n"\0':
            raise ValueError("a delimiter cannot be a quotation mark, a line end or NUL")
        return value

    @field_validator("columns", "label_columns")
    @classmethod
    def _distinct_columns(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value is not None and (not value or len(set(value)) < len(value)):
            raise ValueError("give each column of the file one name of its own")
        return value

    @model_validator(mode="after")
    def _distinct_roles(self) -> Self:
        named = [name for name in (self.text, self.label, self.pair, *(self.label_columns or ())) if name is not None]
        if len(set(named)) < len(named):
            raise ValueError("text, label, pair and label_columns must name different columns")
        return self

    @model_validator(mode="after")
    def _one_way_to_give_labels(self) -> Self:
        given = [name for name in ("label", "label_separator") if getattr(self, name) is not None]
        if self.label_columns is not None and given:
            raise ValueError(f"label_columns takes the place of {' and '.join(given)}")
        several = self.label_columns is not None or self.label_separator is not None
        if several and self.problem is not Problem.MULTI_LABEL:
            raise ValueError(f"label_separator and label_columns are of multi_label_classification, not {self.problem}")
        if self.out_of_scope is not None and self.problem is not Problem.SINGLE_LABEL:
            raise ValueError(f"out_of_scope is of single_label_classification, not {self.problem}")
        return self

    @property
    def problem(self) -> Problem:
        """What text classification is to answer with, as the other keys say where ``problem_type`` does not."""
        if self.problem_type is not None:
            return self.problem_type
        several = self.label_columns is not None or self.label_separator is not None
        return Problem.MULTI_LABEL if several else Problem.SINGLE_LABEL

    def answering(self, problem: Problem | None) -> DataRecipe:
        """The same data, read for a model that answers so; None is one label."""
        return self.model_copy(update={"problem_type": problem or Problem.SINGLE_LABEL})

    @property
    def reading(self) -> ReadOptions:
        """What of this concerns readers."""
        return ReadOptions(
            encoding=self.encoding,
            encoding_errors="strict" if self.encoding_errors == "error" else "replace",
            delimiter=self.delimiter,
            quoted=self.quotes == "double",
            columns=self.columns,
            format=self.format,
        )
