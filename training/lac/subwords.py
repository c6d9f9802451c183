"""
Makes the tokenizer of the lexical score: byte-level BPE, trained on the half of the development corpus that
`tiny/held-out.json` does not name.

    python -m lac.subwords --data corpus-dev.jsonl.zst --out models/lexical/tokenizer.json.gz
"""

from __future__ import annotations

import argparse
import gzip
from pathlib import Path

from .tiny.corpus import training_documents
from .tiny.tokenizer import train_tokenizer

VOCAB_SIZE = 32_768
LONGEST = 100_000
"""Characters of a document that count: a long one must not make the vocabulary its own."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the development corpus, JSON lines")
    parser.add_argument("--out", type=Path, required=True, help="the tokenizer.json to write, compressed with gzip")
    arguments = parser.parse_args()
    texts = (document.text[:LONGEST] for document in training_documents(arguments.data))
    tokenizer = train_tokenizer(texts, VOCAB_SIZE, special_tokens=())
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    # Without the time, so that the same tokenizer makes the same file.
    arguments.out.write_bytes(gzip.compress(tokenizer.to_str().encode(), mtime=0))


if __name__ == "__main__":
    main()
