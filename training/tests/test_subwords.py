"""The vocabulary of the lexical score: the same file again, without special tokens, from the training half alone."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from lac.subwords import main
from lac.tiny.corpus import HELD_OUT


def test_the_same_file_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    domain, sources = next(iter(json.loads(HELD_OUT.read_text())["sources"].items()))
    meta = {"domain": domain, "licence": "none"}
    rows = [
        {"id": "kept", "text": "mountain river " * 50, "meta": {**meta, "source": "another"}},
        {"id": "held out", "text": "xylophone " * 50, "meta": {**meta, "source": sources[0]}},
    ]
    data = tmp_path / "corpus.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    made = []
    for name in ("first", "second"):
        out = tmp_path / name / "tokenizer.json.gz"
        monkeypatch.setattr("sys.argv", ["subwords", "--data", str(data), "--out", str(out)])
        main()
        made.append(out.read_bytes())
    assert made[0] == made[1]
    vocabulary = Tokenizer.from_str(gzip.decompress(made[0]).decode()).get_vocab()
    assert "mountain" in vocabulary
    assert not any("xylo" in token or "<|" in token for token in vocabulary)
