#!/usr/bin/env python3
"""Token ids of long documents, for the benchmark.

Documents of JSON lines (plain, .gz, .zst) go through a checkpoint's tokenizer.

    make-ids.py MODEL_DIR DATA.jsonl.zst OUT.json [--count 3] [--max-length 8192] [--column text]

Takes documents of at least --max-length tokens, spread evenly over the file, and cuts each to that length.
Writes [{"id": "…", "ids": [0, …]}]. Needs `tokenizers`, and `zstandard` for .zst.
"""
import argparse
import gzip
import io
import json
from pathlib import Path

from tokenizers import Tokenizer


def open_lines(path):
    if path.endswith(".gz"):
        return gzip.open(path, "rt", encoding="utf-8")
    if path.endswith(".zst"):
        import zstandard

        reader = zstandard.ZstdDecompressor(max_window_size=2**31).stream_reader(open(path, "rb"), closefd=True)
        return io.TextIOWrapper(reader, encoding="utf-8")
    return open(path, encoding="utf-8")


def long_documents(tokenizer, rows, start, count, length):
    """Walks from row `start`, once around, to the first document that is long enough and not taken."""
    for step in range(count):
        row = rows[(start + step) % count]
        if len(row["text"]) < length:  # a token is at least one character in ordinary text
            continue
        ids = tokenizer.encode(row["text"]).ids
        if len(ids) >= length:
            yield {"id": row["id"], "ids": ids[:length]}


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("model", type=Path)
    ap.add_argument("data")
    ap.add_argument("out", type=Path)
    ap.add_argument("--count", type=int, default=3)
    ap.add_argument("--max-length", type=int, default=8192)
    ap.add_argument("--column", default="text")
    a = ap.parse_args()
    tokenizer = Tokenizer.from_file(str(a.model / "tokenizer.json"))
    with open_lines(a.data) as lines:
        records = [json.loads(line) for line in lines if line.strip()]
    rows = [{"id": str(r.get("id", i)), "text": r[a.column]} for i, r in enumerate(records)]
    taken = {}
    for part in range(a.count):
        for sample in long_documents(tokenizer, rows, part * len(rows) // a.count, len(rows), a.max_length):
            if sample["id"] not in taken:
                taken[sample["id"]] = sample
                break
        else:
            raise SystemExit(f"{a.data} has only {len(taken)} documents of {a.max_length} tokens or more; wanted: {a.count}")
    a.out.parent.mkdir(parents=True, exist_ok=True)
    a.out.write_text(json.dumps(list(taken.values()), separators=(",", ":")) + "\n")
    print(a.out, [s["id"] for s in taken.values()])


if __name__ == "__main__":
    main()
