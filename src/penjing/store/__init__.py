"""Bundles on disk, their versions and aliases, and the ledger of what happened to them."""

from penjing.store.aliases import Aliases, Expect
from penjing.store.bundle import Bundle, read_bundle
from penjing.store.ledger import Entry, Ledger
from penjing.store.manifest import (
    DataRecord,
    EngineSpec,
    FileRecord,
    Manifest,
    ManifestDraft,
    Parent,
    StageSpec,
    TextLimits,
)
from penjing.store.references import Reference, parse_reference
from penjing.store.staging import Staging
from penjing.store.store import Store

__all__ = [
    "Aliases",
    "Bundle",
    "DataRecord",
    "EngineSpec",
    "Entry",
    "Expect",
    "FileRecord",
    "Ledger",
    "Manifest",
    "ManifestDraft",
    "Parent",
    "Reference",
    "StageSpec",
    "Staging",
    "Store",
    "TextLimits",
    "parse_reference",
    "read_bundle",
]
