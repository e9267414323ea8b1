"""Files to read, and models that count letters: what is alike in words is alike in vectors, at no cost."""

from __future__ import annotations

import re
import zlib

import numpy as np

from penjing.knowledge.terms import indexed
from penjing.tasks.question_answering import Ranking
from penjing.tasks.spans import Spans

SIZE = 64
_CAPITALISED = re.compile(r"(?<=[a-z] )[A-Z]\w+|[0-9]+|《[^》]+》")


class LetterModels:
    """Stands in for an embedding model, a reader and a reranker.

    A vector counts terms by their hash. The reader takes capitalised words inside of sentences, and numbers, that the
    question does not hold for answers, surer the more words passage and question share.
    """

    def __init__(self):
        self.read, self.calls = 0, []

    async def vectors(self, texts):
        made = np.zeros((len(texts), SIZE), np.float32)
        for row, text in enumerate(texts):
            for term in indexed(text).casefold().split():
                made[row, zlib.crc32(term.encode()) % SIZE] += 1
        return made

    async def rankings(self, pairs):
        self.read += len(pairs)
        self.calls.append(len(pairs))
        return [_ranking(question, passage) for question, passage in pairs]

    async def relevance(self, pairs):
        return np.array([_shared(*pair) for pair in pairs], np.float32)

    async def aside(self, work):
        return work()


def _shared(question, passage):
    asked, said = (set(indexed(text).casefold().split()) for text in (question, passage))
    return float(len(asked & said))


def _ranking(question, passage):
    places = [found.span() for found in _CAPITALISED.finditer(passage) if found[0] not in question][:5]
    score = 3 * _shared(question, passage) - 6
    begins, ends = (np.array([place[side] for place in places], np.int64) for side in (0, 1))
    return Ranking(Spans(begins, ends, score - np.arange(len(places), dtype=np.float64)), 0.0)


def pdf_bytes(pages, *, title=""):
    """A PDF with a line of Latin text a page; None makes a page without text."""
    objects = ["<< /Type /Catalog /Pages 2 0 R >>"]
    kids = " ".join(f"{4 + 2 * at} 0 R" for at in range(len(pages)))
    objects.append(f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>")
    objects.append("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
    for at, text in enumerate(pages):
        drawn = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET" if text else "0 0 100 100 re f"
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {5 + 2 * at} 0 R"
            " /Resources << /Font << /F1 3 0 R >> >> >>"
        )
        objects.append(f"<< /Length {len(drawn)} >>\nstream\n{drawn}\nendstream")
    objects.append(f"<< /Title ({title}) >>")
    out, places = bytearray(b"%PDF-1.4\n"), []
    for number, one in enumerate(objects, start=1):
        places.append(len(out))
        out += f"{number} 0 obj\n{one}\nendobj\n".encode("latin-1")
    start = len(out)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode()
    out += "".join(f"{place:010} 00000 n \n" for place in places).encode()
    out += f"trailer << /Size {len(objects) + 1} /Root 1 0 R /Info {len(objects)} 0 R >>\n".encode()
    return bytes(out + f"startxref\n{start}\n%%EOF\n".encode())
