"""Readers of document files, a file a format. Each is imported when a file of its format comes."""

from penjing.knowledge.formats.registry import documents_in, text_document

__all__ = ["documents_in", "text_document"]
