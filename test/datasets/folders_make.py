"""Folders as datasets, pyarrow, Spark, Hive, Delta and git leave them, and the rows that the two libraries read there.

Prints JSON: of each folder what ladm is to be given, and the texts that are its rows.
"""

import gzip
import json
import sys
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq

datasets.disable_progress_bars()
root = Path(sys.argv[1])


def parquet(path, *texts):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"text": list(texts)}), path)


def lines(path, *texts):
    path.parent.mkdir(parents=True, exist_ok=True)
    data = "".join(json.dumps({"text": text}) + "\n" for text in texts).encode()
    if path.suffix in (".gz", ".gzip"):
        path.write_bytes(gzip.compress(data))
    elif path.suffix in (".zst", ".zstd"):
        with pa.CompressedOutputStream(str(path), "zstd") as file:
            file.write(data)
    else:
        path.write_bytes(data)


def other(path, text=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def by_pyarrow(folder):
    table = pads.dataset(folder, format="parquet", exclude_invalid_files=True).to_table(columns=["text"])
    return sorted(table["text"].to_pylist())


def by_datasets(folder):
    return sorted(datasets.load_dataset(str(folder), split="train", cache_dir=str(root / "cache"))["text"])


def spark(folder):
    """As Spark writes with partitions, one job of which was killed."""
    parquet(folder / "lang=en" / "part-0.snappy.parquet", "en")
    parquet(folder / "lang=de" / "part-0.snappy.parquet", "de")
    parquet(folder / "_temporary" / "0" / "part-1.snappy.parquet", "not committed")
    other(folder / "_SUCCESS")
    other(folder / "_committed_123", "{}")
    other(folder / "lang=en" / ".part-0.snappy.parquet.crc")
    pq.write_metadata(pa.schema([("text", pa.string())]), folder / "_common_metadata")
    pq.write_metadata(pa.schema([("text", pa.string())]), folder / "_metadata")
    return by_pyarrow(folder)


def delta(folder):
    parquet(folder / "part-0.parquet", "a")
    other(folder / "_delta_log" / "00000000000000000000.json", '{"add":{"path":"part-0.parquet"}}\n')
    parquet(folder / "_delta_log" / "00000000000000000010.checkpoint.parquet", "a log")
    return by_pyarrow(folder)


def linked(folder):
    parquet(folder.parent / "elsewhere" / "b.parquet", "b")
    parquet(folder / "a.parquet", "a")
    (folder / "more").symlink_to(folder.parent / "elsewhere")
    return by_pyarrow(folder)


def misnamed(folder):
    """As pandas names what it writes with gzip."""
    parquet(folder / "a.parquet.gzip", "a")
    return by_datasets(folder)


def repository(folder):
    """A clone of a dataset of the hub."""
    lines(folder / "data" / "a.jsonl", "a", "b")
    lines(folder / "data" / "b.json.gz", "c")
    lines(folder / ".git" / "lfs" / "d.jsonl", "hidden")
    lines(folder / "__pycache__" / "e.jsonl", "special")
    for name in ("dataset_infos.json", "config.json", "dataset_info.json"):
        other(folder / name, "{}")
    other(folder / ".gitattributes", "*.gz filter=lfs\n")
    other(folder / "README.md", "# Texts\n")
    return by_datasets(folder)


def endings(folder):
    """Each of which datasets or pyarrow reads when it is named."""
    for at, name in enumerate(("a.jsonl", "b.NDJSON", "c.jsonlines", "d.jsonl.gzip", "e.jsonl.zst", "f.jsonl.zstd")):
        lines(folder / name, str(at))
    return [str(at) for at in range(6)]


def saved(folder):
    """With all that a session in Python leaves in it."""
    datasets.Dataset.from_dict({"text": list("abcdef")}).save_to_disk(str(folder))
    loaded = datasets.load_from_disk(str(folder))
    loaded.filter(lambda row: row["text"] > "b")
    loaded.map(lambda row: {"length": len(row["text"])}, num_proc=2)
    loaded.shuffle(seed=1)
    return list(datasets.load_from_disk(str(folder))["text"])


def cached(folder):
    """The cache of `load_dataset`, with what `map` and `filter` put into it."""
    source = folder.parent / "source.jsonl"
    lines(source, *"abcdef")
    loaded = datasets.load_dataset("json", data_files=str(source), split="train", cache_dir=str(folder))
    loaded.map(lambda row: {"length": len(row["text"])})
    loaded.filter(lambda row: row["text"] > "b")
    return list(loaded["text"])


def several(folder):
    """Saved datasets side by side, which `concatenate_datasets` would join."""
    parts = [datasets.Dataset.from_dict({"text": [name]}) for name in "ab"]
    for name, part in zip("ab", parts, strict=True):
        part.save_to_disk(str(folder / name))
        datasets.load_from_disk(str(folder / name)).map(lambda row: {"length": len(row["text"])})
    return list(datasets.concatenate_datasets(parts)["text"])


MAKE = [spark, delta, linked, misnamed, repository, endings, saved, cached, several]
print(json.dumps({make.__name__: sorted(make(root / make.__name__)) for make in MAKE}))
