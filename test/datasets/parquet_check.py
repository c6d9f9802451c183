"""Reads Parquet files that we wrote with pyarrow, DuckDB and datasets, and compares them with their originals.

    python test/datasets/parquet_check.py FOLDER OURS

Prints a JSON object: for each file and reader "equal", "not read" (the reader does not read the original either), or
what differs.
"""

import json
import sys
import tempfile
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
from datasets import load_dataset

# Types that come back as their like: apache-arrow of JavaScript does not write views.
LIKE = {"views"}


def read_pyarrow(path):
    table = pq.read_table(path)
    table.validate(full=True)
    fields = None if path.stem in LIKE else [str(field) for field in table.schema]
    metadata = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
    return fields, metadata, pq.ParquetFile(path).metadata.num_rows, table.to_pylist()


def read_duckdb(path):
    return duckdb.sql(f"select * from read_parquet('{path}')").fetchall()


def read_datasets(path):
    with tempfile.TemporaryDirectory() as cache:
        dataset = load_dataset("parquet", data_files=str(path), split="train", cache_dir=cache)
        return None if path.stem in LIKE else str(dataset.features), dataset.to_list()


def compare(read, original, ours):
    try:
        expected = read(original)
    except Exception:
        return "not read"
    try:
        return "equal" if repr(read(ours)) == repr(expected) else "differs"
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def main():
    originals, ours = Path(sys.argv[1]), Path(sys.argv[2])
    readers = {"pyarrow": read_pyarrow, "duckdb": read_duckdb, "datasets": read_datasets}
    result = {
        path.stem: {name: compare(read, originals / path.name, path) for name, read in readers.items()}
        for path in sorted(ours.glob("*.parquet"))
    }
    print(json.dumps(result))


main()
