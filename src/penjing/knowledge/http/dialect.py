"""``/v1/knowledge``: questions to the knowledge bases of a server, and their documents.

Documents come and go only where the server was told that they may. A body is text, Markdown, HTML or a stored answer;
PDF and DOCX are for the command line: their parsers can be made to work for long, which is not for a stranger to start.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any
from urllib.parse import unquote

from penjing.core.errors import FieldError, ModelNotFoundError, NotFoundError, UnsupportedError, UsageError
from penjing.core.recipe import check_recipe
from penjing.knowledge.adding import CALIBRATION, RECIPE, add
from penjing.knowledge.asking import KnowledgeAnswer, ask
from penjing.knowledge.confidence import Calibration, calibrated_with
from penjing.knowledge.documents import Document
from penjing.knowledge.formats.registry import text_document
from penjing.knowledge.generating import in_sentences, must_generate
from penjing.knowledge.http import errors
from penjing.knowledge.http.openapi import DESCRIPTION
from penjing.knowledge.keeping import Base
from penjing.knowledge.recipe import KnowledgeRecipe
from penjing.knowledge.served import ServedModels, ServedWriter
from penjing.knowledge.told import as_dict
from penjing.security.permits import acting, current
from penjing.security.scopes import Verb
from penjing.serve.api.documents import LONG_BODY_BYTES, field, optional, parse_object
from penjing.serve.api.guard import KNOWLEDGE
from penjing.serve.api.http import Reply, Request, json_reply
from penjing.serve.plane import DataPlane
from penjing.store.references import parse_reference

Call = Callable[..., Awaitable[Reply]]
_ROOT = "/v1/knowledge"
_MOST_LISTED, _MOST_PASSAGES = 1000, 100


@dataclass(frozen=True, slots=True)
class Served:
    """A knowledge base of a server.

    Attributes:
        base: what is asked.
        is_writable: whether requests may add and remove documents.
    """

    base: Base
    is_writable: bool = False


class KnowledgeBases:
    """See the module.

    Args:
        plane: whose models answer.
        bases: by the name that callers use.
    """

    description = DESCRIPTION

    def __init__(self, plane: DataPlane, bases: Mapping[str, Served]) -> None:
        self._plane, self._bases = plane, bases

    def claims(self, path: str) -> bool:
        """See :class:`penjing.serve.api.site.Dialect`."""
        return path == _ROOT or path.startswith(f"{_ROOT}/")

    def fault(self, error: Exception) -> Reply:
        """See :class:`penjing.serve.api.site.Dialect`."""
        return errors.fault(error)

    async def answer(self, request: Request) -> Reply:
        """See :class:`penjing.serve.api.site.Dialect`."""
        parts = [unquote(part) for part in request.target.partition("?")[0].removeprefix(_ROOT).split("/")[1:]]
        name, what, document = (*parts, None, None, None)[:3]
        method = "GET" if request.method == "HEAD" else request.method
        known: dict[tuple[int, str | None], dict[str, Call]] = {
            (0, None): {"GET": self._all},
            (1, None): {"GET": self._one},
            (2, "ask"): {"POST": self._ask},
            (2, "documents"): {"GET": self._list, "POST": self._add},
            (3, "documents"): {"GET": self._text, "DELETE": self._remove},
        }
        calls = known.get((len(parts), what))
        if calls is None:
            return errors.refusal(404, f"{request.path} is no path of a knowledge base", expected=f"one below {_ROOT}")
        if method not in calls:
            return errors.refusal(405, f"{request.method} {request.path}", expected=" or ".join(calls))
        call = calls[method]
        if name is None:
            return await self._all(request)
        served = self._served(name)
        with (
            acting(Verb.PREDICT) if self._plane.is_guarded else nullcontext()
        ):  # a right to a base is one to its models in it
            return await call(request, served, **({"document": document} if document is not None else {}))

    def _served(self, name: str) -> Served:
        if self._plane.is_guarded:
            current().require(KNOWLEDGE + name)
        if name not in self._bases:
            raise ModelNotFoundError(
                f"there is no knowledge base {name[:80]!r}", expected=f"one of {', '.join(self._seen())}"
            )
        return self._bases[name]

    def _seen(self) -> list[str]:
        """The names of bases that the caller may know of."""
        permit = current()
        return [name for name in sorted(self._bases) if not self._plane.is_guarded or permit.may(KNOWLEDGE + name)]

    async def _all(self, request: Request) -> Reply:
        read = partial(lambda: [_facts(name, self._bases[name]) for name in self._seen()])
        return json_reply(200, {"bases": await self._plane.aside(read, deadline=request.deadline)})

    async def _one(self, request: Request, served: Served) -> Reply:
        name = next(name for name, one in self._bases.items() if one is served)
        return json_reply(200, await self._plane.aside(partial(_facts, name, served), deadline=request.deadline))

    async def _ask(self, request: Request, served: Served) -> Reply:
        document = await self._body(request)
        question = field(document, "question", str)
        passages = optional(document, "passages", int) or 0
        if not 0 <= passages <= _MOST_PASSAGES:
            raise FieldError(f"passages is {passages}", field="passages", expected=f"0 to {_MOST_PASSAGES}")
        generate = optional(document, "generate", bool) or False
        told, kept = await self._plane.aside(partial(_told, served.base), deadline=request.deadline)
        told = _with_threshold(told, document)
        if generate:
            _must_generate(told)
        models = ServedModels(self._plane, told, deadline=request.deadline)
        of = calibrated_with(told.embedder, models.reader_reference(), told.reranker)
        figures = Calibration.of_base(kept, of=of)
        with request.while_connected():
            answer = await ask(served.base, question, models=models, told=told, calibration=figures)
            if generate and answer.best is not None:
                answer = await self._in_sentences(answer, told, request)
        return json_reply(200, as_dict(answer, passages=passages))

    async def _in_sentences(self, answer: KnowledgeAnswer, told: KnowledgeRecipe, request: Request) -> KnowledgeAnswer:
        with self._plane.hold(*parse_reference(told.generator or "")) as version:
            writer = ServedWriter(self._plane, version, deadline=request.within(self._plane.writing_timeout_s))
            return await in_sentences(answer, writer, told.generation)

    async def _list(self, request: Request, served: Served) -> Reply:
        most = _number(request.query.get("most"), default=100)
        read = partial(served.base.documents, after=request.query.get("after", ""), most=most)
        listed = await self._plane.aside(read, deadline=request.deadline)
        following = listed[-1].document if len(listed) == most else None
        return json_reply(200, {"documents": [asdict(one) for one in listed], "next": following})

    async def _text(self, request: Request, served: Served, *, document: str) -> Reply:
        text = await self._plane.aside(partial(served.base.text, document), deadline=request.deadline)
        return json_reply(200, {"document": document, "text": text})

    async def _add(self, request: Request, served: Served) -> Reply:
        _must_be_writable(served)
        made = _document(await self._body(request))
        told, _ = await self._plane.aside(partial(_told, served.base), deadline=request.deadline)
        models = ServedModels(self._plane, told, deadline=request.deadline)
        done = await add(served.base, [made], models=models, told=told, token_spans=models.token_spans)
        became = "added" if done.added else "replaced" if done.replaced else "unchanged"
        return json_reply(200, {"document": made.name, "became": became, "passages": done.passages})

    async def _remove(self, request: Request, served: Served, *, document: str) -> Reply:
        _must_be_writable(served)
        await self._plane.aside(partial(served.base.remove, [document]), deadline=request.deadline)
        return json_reply(200, {"document": document, "became": "removed"})

    async def _body(self, request: Request) -> dict[str, Any]:
        body = await request.body()
        read = partial(parse_object, body)
        return await self._plane.aside(read, deadline=request.deadline) if len(body) > LONG_BODY_BYTES else read()


def _told(base: Base) -> tuple[KnowledgeRecipe, Mapping[str, Any] | None]:
    """The recipe of a base, and its calibration."""
    settings = base.settings()
    if RECIPE not in settings:
        raise NotFoundError(f"the knowledge base {base.place} is not there any more", expected="what it was made of")
    return check_recipe(KnowledgeRecipe, settings[RECIPE], origin=base.place), settings.get(CALIBRATION)


def _must_generate(told: KnowledgeRecipe) -> None:
    try:
        must_generate(told)
    except UsageError as error:
        raise FieldError(error.came, field="generate", expected=error.expected, do=error.do) from error


def _facts(name: str, served: Served) -> dict[str, Any]:
    (documents, passages), (told, _) = served.base.count(), _told(served.base)
    return {
        "name": name,
        "documents": documents,
        "passages": passages,
        "embedder": told.embedder,
        "reader": told.reader,
        "reranker": told.reranker,
        "generator": told.generator,
        "writable": served.is_writable,
    }


def _with_threshold(told: KnowledgeRecipe, document: Mapping[str, Any]) -> KnowledgeRecipe:
    threshold = document.get("threshold")
    if threshold is None:
        return told
    if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not 0 <= threshold <= 1:
        raise FieldError("threshold is no share", field="threshold", expected="a number from 0 to 1")
    return told.model_copy(update={"search": told.search.model_copy(update={"threshold": float(threshold)})})


def _document(body: Mapping[str, Any]) -> Document:
    name, title = field(body, "document", str).strip(), optional(body, "title", str) or ""
    if not name:
        raise FieldError("document is blank", field="document", expected="an id")
    if "answer" in body:
        question, answer = field(body, "question", str), field(body, "answer", str)
        return Document(name, question.strip(), title, answer=answer.strip(), source=name)
    return text_document(name, field(body, "text", str), form=optional(body, "format", str) or "text", title=title)


def _must_be_writable(served: Served) -> None:
    if not served.is_writable:
        raise UnsupportedError(
            "the knowledge bases of this server cannot be changed over HTTP",
            do="Start it with --knowledge-writable, or use penjing knowledge add.",
        )


def _number(said: str | None, *, default: int) -> int:
    if said is None:
        return default
    if not said.isascii() or not said.isdigit() or not 1 <= int(said[:9]) <= _MOST_LISTED:
        raise FieldError(f"most is {said[:20]!r}", field="most", expected=f"1 to {_MOST_LISTED}")
    return int(said)
