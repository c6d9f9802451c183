"""The development corpus as token ids: half of its sources to train on, the other half never seen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from lac.rows import unpacked

HELD_OUT = Path(__file__).with_name("held-out.json")
# Of the documents to train on, every so-many-th is kept for probes.
PROBE_STRIDE = 24


@dataclass(frozen=True)
class Document:
    id: str
    domain: str
    source: str
    licence: str
    text: str


def read_documents(path: Path) -> Iterator[Document]:
    """Rows of a JSON-lines file, plain, `.gz` or `.zst`."""
    with path.open("rb") as file:
        for line in unpacked(file):
            row = json.loads(line)
            meta = row["meta"]
            yield Document(row["id"], meta["domain"], meta["source"], meta["licence"], row["text"])


def is_held_out(document: Document, held_out: dict[str, Any]) -> bool:
    sources = held_out["sources"].get(document.domain)
    return document.id in held_out["documents"] if sources is None else document.source in sources


def training_documents(path: Path) -> list[Document]:
    held_out = json.loads(HELD_OUT.read_text())
    return [document for document in read_documents(path) if not is_held_out(document, held_out)]


@dataclass(frozen=True)
class Tokens:
    """Token ids of documents by domain; each `[T]`, uint16."""

    training: dict[str, list[np.ndarray]]
    probe: list[np.ndarray]

    @property
    def count(self) -> int:
        return sum(len(ids) for documents in self.training.values() for ids in documents)


def encode(documents: list[Document], tokenizer: Tokenizer, cache: Path) -> Tokens:
    """Encodes once; the cache is named by the tokenizer and the texts."""
    digest = hashlib.sha256(tokenizer.to_str().encode())
    for document in documents:
        digest.update(document.id.encode())
    file = cache / f"tokens-{digest.hexdigest()[:16]}.npz"
    if not file.exists():
        encoded = tokenizer.encode_batch([document.text for document in documents], add_special_tokens=False)
        ids = [np.asarray(one.ids, dtype=np.uint16) for one in encoded]
        np.savez(file, ids=np.concatenate(ids), ends=np.cumsum([len(one) for one in ids]))
    stored = np.load(file)
    pieces = np.split(stored["ids"], stored["ends"][:-1])
    training: dict[str, list[np.ndarray]] = {}
    probe: list[np.ndarray] = []
    for at, (document, piece) in enumerate(zip(documents, pieces, strict=True)):
        if at % PROBE_STRIDE == PROBE_STRIDE - 1:
            probe.append(piece)
        else:
            training.setdefault(document.domain, []).append(piece)
    return Tokens(training, probe)
