#!/usr/bin/env python3
"""Long texts for bench/texts.mjs, and what ours is measured against: pyarrow, datasets and DuckDB.

    texts.py make SOURCE FOLDER --megabytes 2000    the texts of SOURCE (JSON lines, zstd), over and over, in every kind
    texts.py read CONTENDER KIND PATH               prints {"seconds", "cpuSeconds", "peakRssBytes", "characters"}
    texts.py versions                               of what is used, as JSON
"""
import argparse
import csv
import json
import time
from pathlib import Path

import datasets
import duckdb
import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

datasets.disable_progress_bars()
ROW_GROUP = 200


def texts(source, megabytes):
    import zstandard

    with zstandard.open(source, "rt", encoding="utf-8") as file:
        own = [json.loads(line)["text"] for line in file]
    made = turn = 0
    while made < megabytes * 1e6:
        for at, text in enumerate(own):
            yield f"{turn}-{at}", f"Copy {turn}.\n{text}"
            made += len(text.encode())
            if made >= megabytes * 1e6:
                return
        turn += 1


def make(source, folder, megabytes):
    schema = pa.schema({"id": pa.string(), "text": pa.large_string()})
    files = folder / "files"
    files.mkdir(parents=True)
    parquet = pq.ParquetWriter(folder / "texts.parquet", schema, compression="zstd")
    rows = []
    with open(folder / "texts.jsonl", "w") as lines, open(folder / "texts.csv", "w", newline="") as table:
        cells = csv.writer(table)
        cells.writerow(["id", "text"])
        for name, text in texts(source, megabytes):
            lines.write(json.dumps({"id": name, "text": text}, ensure_ascii=False) + "\n")
            cells.writerow([name, text])
            (files / f"{name}.txt").write_text(text)
            rows.append({"id": name, "text": text})
            if len(rows) == ROW_GROUP:
                parquet.write_table(pa.Table.from_pylist(rows, schema))
                rows = []
        parquet.write_table(pa.Table.from_pylist(rows, schema))
    parquet.close()
    whole = datasets.load_dataset("parquet", data_files=str(folder / "texts.parquet"), split="train", cache_dir=str(folder / "cache"))
    whole.save_to_disk(str(folder / "saved"))


def of_pyarrow(kind, path):
    if kind == "parquet":
        for batch in pq.ParquetFile(path).iter_batches(batch_size=64, columns=["text"]):
            yield from batch.column(0).to_pylist()
    elif kind == "jsonl":
        block = pyarrow.json.ReadOptions(block_size=64 << 20)
        for batch in pyarrow.json.open_json(path, read_options=block):
            yield from batch.column("text").to_pylist()
    elif kind == "csv":
        options = {"read_options": pyarrow.csv.ReadOptions(block_size=64 << 20), "parse_options": pyarrow.csv.ParseOptions(newlines_in_values=True)}
        for batch in pyarrow.csv.open_csv(path, **options):
            yield from batch.column("text").to_pylist()
    elif kind == "folder":
        for file in sorted(Path(path).iterdir()):
            yield file.read_text()
    else:
        raise SystemExit(f"pyarrow reads no {kind}")


def of_datasets(kind, path):
    if kind == "saved":
        rows = datasets.load_from_disk(path)
    else:
        builder = {"jsonl": "json", "folder": "text"}.get(kind, kind)
        files = f"{path}/*.txt" if kind == "folder" else path
        more = {"sample_by": "document"} if kind == "folder" else {}
        rows = datasets.load_dataset(builder, data_files=files, split="train", streaming=True, **more)
    for row in rows:
        yield row["text"]


def of_duckdb(kind, path):
    connection = duckdb.connect()
    connection.execute("set threads = 1")
    source = {
        "parquet": f"select text from read_parquet('{path}')",
        "jsonl": f"select text from read_json('{path}', format = 'newline_delimited', columns = {{id: 'VARCHAR', text: 'VARCHAR'}}, maximum_object_size = 67108864)",
        "csv": f"select text from read_csv('{path}', header = true, columns = {{id: 'VARCHAR', text: 'VARCHAR'}}, max_line_size = 67108864, buffer_size = 134217728)",
        "folder": f"select content from read_text('{path}/*.txt')",
    }[kind]
    found = connection.execute(source)
    while rows := found.fetchmany(64):
        for (text,) in rows:
            yield text


def peak_rss_bytes():
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no VmHWM: not Linux")


def read(contender, kind, path):
    csv.field_size_limit(1 << 30)
    start, before = time.perf_counter(), time.process_time()
    of = {"pyarrow": of_pyarrow, "datasets": of_datasets, "duckdb": of_duckdb}[contender]
    characters = sum(len(text) for text in of(kind, path))
    found = {"seconds": time.perf_counter() - start, "cpuSeconds": time.process_time() - before}
    print(json.dumps({**found, "peakRssBytes": peak_rss_bytes(), "characters": characters}))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["make", "read", "versions"])
    parser.add_argument("rest", nargs="*")
    parser.add_argument("--megabytes", type=float, default=2000)
    options = parser.parse_args()
    pa.set_cpu_count(1)
    if options.what == "make":
        make(options.rest[0], Path(options.rest[1]), options.megabytes)
    elif options.what == "read":
        read(*options.rest)
    else:
        print(json.dumps({"pyarrow": pa.__version__, "datasets": datasets.__version__, "duckdb": duckdb.__version__}))


if __name__ == "__main__":
    main()
