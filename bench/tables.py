#!/usr/bin/env python3
"""Token rows for bench/tables.mjs, and what ours is measured against: pyarrow and datasets.

    tables.py make FOLDER --megabytes 2000    FOLDER/tokens.parquet (zstd, row groups of 100 rows) and
                                              FOLDER/tokens (save_to_disk)
    tables.py copy parquet|hf FROM TO         prints {"seconds", "peakRssBytes"} as JSON
    tables.py check parquet|hf FROM TO        fails unless the rows are equal
    tables.py versions                        of what is used, as JSON
"""

import argparse
import json
import time
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

TOKENS = 32_768
ROWS_AT_ONCE = 100
datasets.disable_progress_bars()


def token_tables(megabytes):
    """Ids as of text: few are frequent, most are rare."""
    random = np.random.default_rng(6)
    row_count = round(megabytes * 1e6 / (TOKENS * 4))
    for start in range(0, row_count, ROWS_AT_ONCE):
        rows = min(ROWS_AT_ONCE, row_count - start)
        ids = (random.zipf(1.3, rows * TOKENS) % 50_000).astype(np.int32)
        offsets = np.arange(rows + 1, dtype=np.int32) * TOKENS
        yield pa.table(
            {
                "index": pa.array(range(start, start + rows)),
                "input_ids": pa.ListArray.from_arrays(pa.array(offsets), pa.array(ids)),
            }
        )


def make(folder, megabytes):
    path = folder / "tokens.parquet"
    writer = None
    for table in token_tables(megabytes):
        writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
        writer.write_table(table)
    writer.close()
    source = datasets.load_dataset("parquet", data_files=str(path), split="train", cache_dir=str(folder / "cache"))
    source.save_to_disk(str(folder / "tokens"))


def copy_parquet(source, target):
    file = pq.ParquetFile(source)
    with pq.ParquetWriter(target, file.schema_arrow, compression="zstd") as writer:
        for batch in file.iter_batches(batch_size=ROWS_AT_ONCE):
            writer.write_batch(batch)


def copy_hf(source, target):
    datasets.load_from_disk(source).save_to_disk(target)


def batches_of(kind, path):
    if kind == "parquet":
        yield from pq.ParquetFile(path).iter_batches(batch_size=ROWS_AT_ONCE)
        return
    dataset = datasets.load_from_disk(path)
    for start in range(0, len(dataset), ROWS_AT_ONCE):
        table = dataset.data.table.slice(start, ROWS_AT_ONCE).combine_chunks()
        yield from table.to_batches()


def check(kind, source, target):
    rows = 0
    pairs = zip(batches_of(kind, source), batches_of(kind, target), strict=True)
    for expected, got in pairs:
        assert got.to_pydict() == expected.to_pydict(), f"rows from {rows} on differ"
        rows += got.num_rows
    print(json.dumps({"rows": rows}))


def peak_rss_bytes():
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no VmHWM: not Linux")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["make", "copy", "check", "versions"])
    parser.add_argument("rest", nargs="*")
    parser.add_argument("--megabytes", type=float, default=2000)
    options = parser.parse_args()
    if options.what == "make":
        make(Path(options.rest[0]), options.megabytes)
    elif options.what == "copy":
        kind, source, target = options.rest
        start = time.perf_counter()
        (copy_parquet if kind == "parquet" else copy_hf)(source, target)
        print(json.dumps({"seconds": time.perf_counter() - start, "peakRssBytes": peak_rss_bytes()}))
    elif options.what == "check":
        check(*options.rest)
    else:
        print(json.dumps({"pyarrow": pa.__version__, "datasets": datasets.__version__}))


main()
