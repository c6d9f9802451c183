"""Makes datasets with the real `datasets` and pyarrow, and beside each what it holds as JSON lines.

Usage: python make.py FOLDER
"""

import json
import os
import random
import shutil
import sys
from datetime import datetime, timedelta
from decimal import Decimal

import datasets
import numpy
import pyarrow as pa
from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value
from values import rows_of, write_lines

datasets.disable_progress_bars()
random.seed(7)

LABELS = ["code", "web", "book"]
TEXTS = ["", "a", "ü — 漢字 🙂", "line\nline", "x" * 300]
EPOCH = datetime(2024, 2, 29, 12, 30, 15, 123456)


def some(make, row, every=5):
    """A value, or None in some rows."""
    return None if row % every == every - 1 else make(row)


def wide_table(rows):
    """Every type that is read, with nulls in each column."""
    kinds = {
        "text": (pa.string(), lambda row: TEXTS[row % len(TEXTS)] + str(row)),
        "large_text": (pa.large_string(), lambda row: TEXTS[(row * 3) % len(TEXTS)]),
        "flag": (pa.bool_(), lambda row: row % 3 == 0),
        "nothing": (pa.null(), lambda row: None),
        "float16": (pa.float16(), lambda row: numpy.float16(row / 3)),
        "float32": (pa.float32(), lambda row: float(numpy.float32(row / 3)) if row % 7 else float("nan")),
        "float64": (pa.float64(), lambda row: row / 3 if row % 11 else float("inf")),
        "bytes": (pa.binary(), lambda row: bytes([row % 256, 0, 255])[: row % 4]),
        "large_bytes": (pa.large_binary(), lambda row: bytes([row % 256] * (row % 9))),
        "three_bytes": (pa.binary(3), lambda row: bytes([row % 256, 1, 2])),
        "date32": (pa.date32(), lambda row: (EPOCH - timedelta(days=row * 400)).date()),
        "date64": (pa.date64(), lambda row: (EPOCH + timedelta(days=row)).date()),
        "time32": (pa.time32("ms"), lambda row: (EPOCH + timedelta(seconds=row)).time().replace(microsecond=5000)),
        "time64": (pa.time64("us"), lambda row: (EPOCH + timedelta(seconds=row)).time()),
        "stamp_s": (pa.timestamp("s"), lambda row: EPOCH.replace(microsecond=0) - timedelta(days=row * 9000 % 20000)),
        "stamp_ms": (pa.timestamp("ms"), lambda row: EPOCH.replace(microsecond=7000) + timedelta(hours=row)),
        "stamp_us": (pa.timestamp("us", tz="UTC"), lambda row: EPOCH - timedelta(days=row * 300)),
        "stamp_ns": (pa.timestamp("ns", tz="Europe/Paris"), lambda row: EPOCH + timedelta(microseconds=row)),
        "duration": (pa.duration("us"), lambda row: timedelta(seconds=row, microseconds=-3)),
        "decimal": (pa.decimal128(20, 3), lambda row: Decimal(row * 17 - 100).scaleb(-3)),
        "decimal256": (pa.decimal256(50, 2), lambda row: Decimal(10**40 + row).scaleb(-2)),
        "tokens": (pa.list_(pa.int32()), lambda row: list(range(row, row + row % 7))),
        "large_tokens": (pa.large_list(pa.int64()), lambda row: [row, -row, 2**40] * (row % 3)),
        "pair": (pa.list_(pa.int16(), 2), lambda row: [row % 100, None if row % 4 == 0 else -1]),
        "words": (pa.list_(pa.string()), lambda row: ["w" * (row % 5), None, "é"][: row % 4]),
        "meta": (
            pa.struct([("source", pa.string()), ("lines", pa.int32()), ("in", pa.struct([("deep", pa.bool_())]))]),
            lambda row: {"source": some(lambda _: "s", row, 3), "lines": row, "in": some(lambda _: {"deep": True}, row, 4)},
        ),
        "spans": (
            pa.list_(pa.struct([("start", pa.int64()), ("name", pa.string())])),
            lambda row: [{"start": row * 10 + at, "name": some(str, at, 2)} for at in range(row % 4)],
        ),
        "grid": (pa.list_(pa.list_(pa.uint8())), lambda row: [[row % 256] * at for at in range(row % 3)]),
    }
    for bits in (8, 16, 32, 64):
        kinds[f"int{bits}"] = (getattr(pa, f"int{bits}")(), lambda row, bits=bits: (-1) ** row * (2 ** (bits - 1) - 1 - row))
        kinds[f"uint{bits}"] = (getattr(pa, f"uint{bits}")(), lambda row, bits=bits: 2**bits - 1 - row)
    columns = {name: pa.array([some(make, row) for row in range(rows)], kind) for name, (kind, make) in kinds.items()}
    return pa.table(columns)


def labelled(rows):
    features = Features({"id": Value("int64"), "label": ClassLabel(names=LABELS), "ids": List(Value("int32"))})
    columns = {
        "id": list(range(rows)),
        "label": [some(lambda at: at % 3, row) for row in range(rows)],
        "ids": [[row] * (row % 4) for row in range(rows)],
    }
    return Dataset.from_dict(columns, features=features, split="train")


def tokens(rows, length):
    ids = [numpy.random.default_rng(row).integers(0, 2**31 - 1, length, dtype=numpy.int32) for row in range(rows)]
    features = Features({"input_ids": List(Value("int32")), "index": Value("int64"), "text": Value("string")})
    return Dataset.from_dict({"input_ids": ids, "index": list(range(rows)), "text": ["t"] * rows}, features=features)


def save(dataset, folder, name, shards=None):
    path = os.path.join(folder, name)
    dataset.save_to_disk(path, num_shards=shards)
    write_lines(path + ".jsonl", rows_of(dataset.with_format("arrow")[:]))


def save_with_indices(folder, name, key):
    """As releases before 2023 wrote what `select` chose: all rows, and beside them which ones count, in which order."""
    path = os.path.join(folder, name)
    dataset = labelled(40)
    dataset.save_to_disk(path, num_shards=2)
    chosen = [random.randrange(40) for _ in range(25)] + list(range(10, 20))
    table = pa.table({"indices": pa.array(chosen, pa.uint64())})
    with pa.OSFile(os.path.join(path, "indices.arrow"), "wb") as file, pa.ipc.new_stream(file, table.schema) as out:
        out.write_table(table)
    state_path = os.path.join(path, "state.json")
    with open(state_path, encoding="utf-8") as file:
        state = json.load(file)
    state[key] = [{"filename": "indices.arrow"}]
    with open(state_path, "w", encoding="utf-8") as file:
        json.dump(state, file)
    write_lines(path + ".jsonl", rows_of(dataset.select(chosen).with_format("arrow")[:]))


def dictionary_batches():
    """A dictionary that grows, then one that is replaced."""
    def batch(values, places):
        return pa.record_batch(
            {
                "kind": pa.DictionaryArray.from_arrays(pa.array(places, pa.int8()), pa.array(values)),
                "kinds": pa.ListArray.from_arrays(
                    pa.array([0, 1, 1, len(places)], pa.int32()),
                    pa.DictionaryArray.from_arrays(pa.array(places, pa.int32()), pa.array(values)),
                ).slice(0, 3)
                if len(places) == 3
                else None,
            }
        )

    return [
        batch(["a", "b"], [0, 1, None]),
        batch(["a", "b", "c"], [2, None, 0]),
        batch(["z", None], [0, 1, 0]),
    ]


def write_stream(folder, name, batches, deltas=False):
    path = os.path.join(folder, name)
    options = pa.ipc.IpcWriteOptions(emit_dictionary_deltas=deltas)
    with pa.OSFile(path, "wb") as file, pa.ipc.new_stream(file, batches[0].schema, options=options) as out:
        for batch in batches:
            out.write_batch(batch)
    write_lines(path + ".jsonl", [row for batch in batches for row in rows_of(pa.Table.from_batches([batch]))])


def write_file(folder, name, table, rows):
    path = os.path.join(folder, name)
    options = pa.ipc.IpcWriteOptions(unify_dictionaries=True)
    with pa.OSFile(path, "wb") as file, pa.ipc.new_file(file, table.schema, options=options) as out:
        out.write_table(table, max_chunksize=rows)
    write_lines(path + ".jsonl", rows_of(table))


def main(folder):
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    wide = Dataset(wide_table(130))
    save(wide, folder, "wide-1", 1)
    save(wide, folder, "wide-3", 3)
    save(wide.select([]), folder, "wide-0")
    save(labelled(57), folder, "labels", 3)
    save(tokens(40, 70_000), folder, "tokens", 2)
    save_with_indices(folder, "indices", "_indices_data_files")
    save_with_indices(folder, "indices-older", "_indices_files")
    write_stream(folder, "dictionaries.arrows", dictionary_batches())
    write_stream(folder, "deltas.arrows", dictionary_batches(), deltas=True)
    write_file(folder, "wide.arrow", wide_table(90), 17)
    write_file(folder, "dictionary.arrow", pa.table({"kind": pa.array(["a", None, "b"] * 9).dictionary_encode()}), 4)
    parts = DatasetDict({"train": labelled(9), "test": labelled(4)})
    parts.save_to_disk(os.path.join(folder, "parts"))
    for name, part in parts.items():
        write_lines(os.path.join(folder, f"parts-{name}.jsonl"), rows_of(part.with_format("arrow")[:]))


main(sys.argv[1])
