"""Parquet files of pyarrow and of datasets, and what is in them, for parquet.test.ts.

    python test/datasets/parquet_make.py FOLDER

For each NAME.parquet there is NAME.jsonl: a row a line. Times, dates and decimals are their integers; integers beyond
2^53 are texts; bytes are {"bytes": hex}; maps are lists of pairs. Encrypted files have none.
"""

import base64
import datetime
import decimal
import json
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as encryption
from datasets import ClassLabel, Dataset, Features, List, Value

ROWS = 1000
METADATA = {"note": "é"}


def every_type():
    """A column of each type; a null now and then."""
    some = lambda make, every=7: [None if row % every == 0 else make(row) for row in range(ROWS)]
    moment = datetime.datetime(2020, 1, 1, 1, 2, 3, 456789)
    columns = {
        "text": pa.array(some(lambda row: f"text {row} é")),
        "large_text": pa.array(some(lambda row: f"large {row}"), pa.large_string()),
        "bytes": pa.array(some(lambda row: bytes([row % 256])), pa.binary()),
        "large_bytes": pa.array(some(lambda row: b"x" * (row % 5)), pa.large_binary()),
        "fixed_bytes": pa.array(some(lambda row: b"abc"), pa.binary(3)),
        "float16": pa.array(some(lambda row: float(row % 100)), pa.float16()),
        "float32": pa.array(some(lambda row: row / 3), pa.float32()),
        "float64": pa.array(some(lambda row: row / 3), pa.float64()),
        "bool": pa.array(some(lambda row: row % 2 == 0)),
        "decimal128": pa.array(some(lambda row: decimal.Decimal(row).scaleb(-2)), pa.decimal128(10, 2)),
        "decimal256": pa.array(some(lambda row: decimal.Decimal(row).scaleb(-2)), pa.decimal256(50, 2)),
        "date": pa.array(some(lambda row: datetime.date(1960, 1, 1) + datetime.timedelta(row))),
        "time32": pa.array(some(lambda row: row), pa.time32("ms")),
        "time64": pa.array(some(lambda row: row), pa.time64("us")),
        "time_utc": pa.array(some(lambda row: moment), pa.timestamp("us", "UTC")),
        "time_ns": pa.array(some(lambda row: 1234567890123456789 + row), pa.timestamp("ns")),
        "duration": pa.array(some(lambda row: row), pa.duration("us")),
        "list": pa.array(some(lambda row: list(range(row % 4)), 5), pa.list_(pa.int32())),
        "large_list": pa.array(some(lambda row: [row, None], 5), pa.large_list(pa.int64())),
        "fixed_list": pa.array(some(lambda row: [row, row + 1], 5), pa.list_(pa.int16(), 2)),
        "struct": pa.array(some(lambda row: {"a": row, "b": None if row % 2 else "x"})),
        "map": pa.array(some(lambda row: [("k", row), ("l", None)]), pa.map_(pa.string(), pa.int32())),
        "nested": pa.array(some(lambda row: [{"q": [[row], None]}])),
        "null": pa.nulls(ROWS),
        "dictionary": pa.array(some(lambda row: f"c{row % 3}")).dictionary_encode(),
        "words": pa.array(some(lambda row: ["a", "b"]), pa.list_(pa.dictionary(pa.int8(), pa.string()))),
        "dotted.name": pa.array(range(ROWS), pa.int32()),
    }
    for bits in (8, 16, 32, 64):
        signed, unsigned = getattr(pa, f"int{bits}")(), getattr(pa, f"uint{bits}")()
        columns[f"int{bits}"] = pa.array(some(lambda row: -(2 ** (bits - 1)) + row % 100), signed)
        columns[f"uint{bits}"] = pa.array(some(lambda row: 2**bits - 1 - row % 100), unsigned)
    return pa.table(columns).replace_schema_metadata(METADATA)


def views():
    texts = ["a", None, "longer than twelve bytes"]
    return pa.table({"text": pa.array(texts, pa.string_view()), "list": pa.array([texts] * 3, pa.list_(pa.string_view()))})


def dataset():
    """As documents lie on the hub."""
    features = Features(
        {
            "id": Value("int64"),
            "text": Value("large_string"),
            "kind": ClassLabel(names=["web", "book"]),
            "input_ids": List(Value("int32")),
            "meta": {"source": Value("string"), "tags": List(Value("string"))},
        }
    )
    rows = [
        {
            "id": row,
            "text": f"text {row}",
            "kind": row % 2,
            "input_ids": list(range(row % 9)),
            "meta": {"source": "x" if row % 3 else None, "tags": ["t"] * (row % 3)},
        }
        for row in range(ROWS)
    ]
    return Dataset.from_list(rows, features=features)


class NoSecrets(encryption.KmsClient):
    """Keys wrapped in nothing."""

    def __init__(self, _):
        super().__init__()

    def wrap_key(self, key, _):
        return base64.b64encode(key)

    def unwrap_key(self, key, _):
        return base64.b64decode(key)


def write_encrypted(table, path, plaintext_footer):
    configuration = encryption.EncryptionConfiguration(
        footer_key="footer", column_keys={"column": ["text"]}, plaintext_footer=plaintext_footer
    )
    factory = encryption.CryptoFactory(NoSecrets)
    properties = factory.file_encryption_properties(encryption.KmsConnectionConfig(), configuration)
    with pq.ParquetWriter(path, table.schema, encryption_properties=properties) as writer:
        writer.write_table(table)


def as_integers(array):
    """Times and dates as their integers, where they are the column itself."""
    kind = array.type
    if pa.types.is_timestamp(kind) or pa.types.is_duration(kind) or pa.types.is_time64(kind):
        return array.cast(pa.int64())
    if pa.types.is_date32(kind) or pa.types.is_time32(kind):
        return array.cast(pa.int32())
    return array


def plain(value):
    if isinstance(value, bool) or value is None or isinstance(value, (str, float)):
        return value
    if isinstance(value, int):
        return value if abs(value) <= 2**53 else str(value)
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, decimal.Decimal):
        return int(value.scaleb(2))
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    raise TypeError(f"{type(value)} of a test table")


def write_expected(table, path):
    columns = [as_integers(table.column(name)).to_pylist() for name in table.column_names]
    with open(path, "w", encoding="utf-8") as file:
        for cells in zip(*columns):
            row = {name: plain(cell) for name, cell in zip(table.column_names, cells)}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def main():
    folder = Path(sys.argv[1])
    table = every_type()
    few = table.select(["text", "int64", "list"])
    files = {f"codec-{codec}": (few, {"compression": codec}) for codec in ("none", "snappy", "gzip", "brotli", "zstd", "lz4")}
    files |= {
        "types": (table, {"row_group_size": 300, "compression": "zstd"}),
        "pages": (few, {"data_page_size": 500, "data_page_version": "2.0", "write_page_checksum": True}),
        "plain": (few, {"use_dictionary": False, "column_encoding": {"int64": "DELTA_BINARY_PACKED", "text": "DELTA_BYTE_ARRAY"}}),
        "bare": (few, {"store_schema": False, "version": "1.0"}),
        "no-map": (table.drop_columns(["map"]), {}),
        "empty": (table.slice(0, 0), {}),
        "views": (views(), {}),
    }
    for name, (content, options) in files.items():
        pq.write_table(content, folder / f"{name}.parquet", **options)
    dataset().to_parquet(folder / "dataset.parquet", batch_size=300)
    for path in sorted(folder.glob("*.parquet")):
        write_expected(pq.read_table(path), path.with_suffix(".jsonl"))
    write_encrypted(few, folder / "encrypted-all.parquet", plaintext_footer=False)
    write_encrypted(few, folder / "encrypted-column.parquet", plaintext_footer=True)


main()
