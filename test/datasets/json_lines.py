"""JSON lines of odd rows as their usual writers make them, and what Python's own readers find in lines of ours.

json_lines.py make FOLDER    writes NAME.jsonl, and NAME.expected with one row of canonical JSON a line
json_lines.py read FILE      prints what json and DuckDB read of the score rows in it
"""

import json
import sys
from pathlib import Path

import datasets
import duckdb
import pandas

BIG = [9007199254740993, -9007199254740993, 9223372036854775807, -9223372036854775808, 1234567890123456789, 0, 7]
TEXTS = ["plain", "\u2028\u2029\u0085", "\ufeffmark", "\U0001f600", "a\x00b", 'quote " and \\ back', "line\r\nline\ttab"]
FLOATS = [0.1, 1e308, 5e-324, -0.0, 1e20, 12345678901234567890.0, 1.5]
ROWS = [
    {"id": number, "text": text, "x": value, "meta": {"user": number, "title": text, "tags": [text, ""]}}
    for number, text, value in zip(BIG, TEXTS, FLOATS)
]


def canonical(row):
    """Floats by their bits, and integers with all digits: what a reader may not lose."""

    def plain(value):
        if isinstance(value, float):
            return {"float": (value + 0.0 if value else 0.0).hex()}
        if isinstance(value, int) and not isinstance(value, bool):
            return {"int": str(value)}
        if isinstance(value, dict):
            return {name: plain(inner) for name, inner in value.items()}
        return [plain(inner) for inner in value] if isinstance(value, list) else value

    return json.dumps(plain(row), sort_keys=True)


def write(folder: Path, name: str, rows) -> None:
    (folder / f"{name}.expected").write_text("".join(canonical(row) + "\n" for row in rows))


def make(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    extreme = [{"id": number, "text": "t"} for number in (2**63, 2**64 - 1, 2**64, -(2**70), 10**400)]
    half = [{"id": "a\udc00", "text": "t \ud83d", "meta": {"t": "\udfff"}}]
    for name, rows, options in (
        ("json", ROWS, {}),
        ("json-utf8", ROWS, {"ensure_ascii": False}),
        ("json-compact", ROWS, {"separators": (",", ":")}),
        ("json-extreme", extreme, {}),
        ("json-half", half, {}),
    ):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row, **options) + "\n" for row in rows), "utf-8")
        write(folder, name, rows)
    frame = pandas.DataFrame(ROWS)
    frame.to_json(folder / "pandas.jsonl", orient="records", lines=True, double_precision=15)
    frame.to_json(folder / "pandas-utf8.jsonl", orient="records", lines=True, force_ascii=False, double_precision=15)
    datasets.Dataset.from_list(ROWS).to_json(folder / "datasets.jsonl")
    rows = datasets.Dataset.from_list(ROWS).data.table  # noqa: F841: named in the statement
    duckdb.sql(f"copy (select * from rows) to '{folder}/duckdb.jsonl' (format json)")
    for name in ("pandas", "pandas-utf8", "datasets", "duckdb"):
        lines = (folder / f"{name}.jsonl").read_text("utf-8").split("\n")
        write(folder, name, [json.loads(line) for line in lines if line.strip()])


def read(path: Path) -> None:
    by_json = [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]
    by_duckdb = duckdb.sql(
        f"select json_extract_string(json, '/id'), json_extract_string(json, '/meta/user') from read_ndjson_objects('{path}')"
    ).fetchall()
    print(json.dumps({"json": [canonical([row.get("id"), row.get("meta")]) for row in by_json], "duckdb": by_duckdb}))


if __name__ == "__main__":
    {"make": make, "read": read}[sys.argv[1]](Path(sys.argv[2]))
