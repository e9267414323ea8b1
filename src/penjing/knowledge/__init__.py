"""Knowledge bases: documents kept so that questions are answered out of them, with the place. Loads no torch."""

from penjing.knowledge.adding import Added
from penjing.knowledge.asking import Citation, KnowledgeAnswer
from penjing.knowledge.base import KnowledgeBase
from penjing.knowledge.documents import Document
from penjing.knowledge.keeping import Listed, Passage
from penjing.knowledge.recipe import KnowledgeRecipe
from penjing.knowledge.search import Found

__all__ = [
    "Added",
    "Citation",
    "Document",
    "Found",
    "KnowledgeAnswer",
    "KnowledgeBase",
    "KnowledgeRecipe",
    "Listed",
    "Passage",
]
