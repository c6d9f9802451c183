"""Reads what we wrote with the real libraries and compares it with JSON lines.

Usage: python check.py dataset|arrow PATH EXPECTED.jsonl [FEATURES-OF-THIS-DATASET]
"""

import json
import os
import sys

import datasets
import pyarrow as pa
from values import read_lines, rows_of


def compare(what, rows, expected):
    rows = list(rows)
    if len(rows) != len(expected):
        sys.exit(f"{what}: {len(rows)} rows, expected {len(expected)}")
    for number, (row, wanted) in enumerate(zip(rows, expected)):
        if row != wanted:
            sys.exit(f"{what}: row {number} is {row}, expected {wanted}")


def check_dataset(path, expected, original):
    dataset = datasets.load_from_disk(path)
    if isinstance(dataset, datasets.DatasetDict):
        (dataset,) = dataset.values()
    if original is not None:
        with open(os.path.join(original, "dataset_info.json"), encoding="utf-8") as file:
            features = datasets.DatasetInfo.from_dict(json.load(file)).features
        if dataset.features != features:
            sys.exit(f"features: {dataset.features}, expected {features}")
    compare("load_from_disk", rows_of(dataset.with_format("arrow")[:]), expected)
    dataset.data.validate(full=True)
    if len(dataset.map(lambda row: {"more": 1}, keep_in_memory=True)) != len(expected):
        sys.exit("map: other rows")


def check_arrow(path, expected):
    with pa.memory_map(path) as source, pa.ipc.open_stream(source) as reader:
        batches = list(reader)
    for batch in batches:
        batch.validate(full=True)
    compare("pyarrow", (row for batch in batches for row in rows_of(pa.Table.from_batches([batch]))), expected)


def main(kind, path, expected_path, original=None):
    datasets.disable_progress_bars()
    expected = read_lines(expected_path)
    if kind == "dataset":
        check_dataset(path, expected, original)
    else:
        check_arrow(path, expected)


main(*sys.argv[1:])
