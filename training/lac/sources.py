"""Which files a `--data` names: a file, a folder of files, or what `datasets`, `ladm prepare`, `ladm select` wrote."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from lac.errors import UserError
from lac.rows import ARROW_FILE, ARROW_STREAM, IDS, PARQUET, READ, Arrow, JsonLines, Parquet, Rows

DATA = re.compile(
    r".*\.((jsonl|ndjson|jsonlines|json)(\.(gz|gzip|zst|zstd))?"
    r"|(parquet|parq|pq)(\.(gz|gzip|snappy|zst|zstd|br|brotli|lz4))?|arrows?|feather|ipc)",
    re.IGNORECASE,
)
"""By these names files of a folder are data, as `ladm` knows them (`src/core/data-names.ts`)."""
LEFT_BEHIND = re.compile(
    r"\.(?!\.*$).*|_[^=]*|.*\.(part|partial|tmp|temp|incomplete|crdownload|download|filepart|inprogress|_copying_)|.*~",
    re.IGNORECASE | re.DOTALL,
)
"""Files and folders of git, Spark, Hive or an unfinished download."""
NO_ROWS = re.compile(
    r"cache-.*\.arrow|.*\.(index|metadata)\.json|(dataset_infos?|dataset_dict|state|index|croissant|evaluation"
    r"|config|generation_config|adapter_config|preprocessor_config|trainer_state"
    r"|tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab|chat_template)\.json",
    re.IGNORECASE,
)
"""Caches of datasets, and what lies beside data."""


def open_data(path: Path, tokenizer: Path, text: str) -> list[Rows]:
    """The files of a `--data`, in order of name. `tokenizer`: the model's `tokenizer.json`; `text`: a column.

    Raises UserError for what is missing or not read, and for token ids that are known to be another tokenizer's.
    """
    if not path.exists():
        raise UserError("The data does not exist", where=str(path), fix="Check the path.")
    files = files_of(path)
    check_tokenizer(files[0], tokenizer, text)
    return [open_file(file, path, text) for file in files]


def open_file(path: Path, named: Path, text: str) -> Rows:
    name = str(path.relative_to(named.parent))
    with path.open("rb") as file:
        head = file.read(4)
    ending = path.suffix.lower()
    if head == PARQUET or ending in (".parquet", ".pq"):
        return Parquet(path, name, text)
    if head in (ARROW_FILE, ARROW_STREAM) or ending in (".arrow", ".arrows", ".feather"):
        return Arrow(path, name, text)
    return JsonLines(path, name, text)


def files_of(path: Path) -> list[Path]:
    """Data files of a file or folder."""
    if path.is_file():
        return [path]
    if (path / "prepare.json").is_file():
        return files_of(prepared(path))
    if (path / "prepare.lock").exists() or (path / "unfinished").exists():
        raise UserError("The preparation is not finished", where=str(path), fix="Run `ladm prepare` again to the end.")
    if (path / "selection.json").is_file():
        return files_of(selected(path))
    if (path / "dataset_dict.json").is_file():
        return files_of(split(path))
    if (path / "state.json").is_file():
        return saved_dataset(path)
    found = sorted(file for file in path.rglob("*") if is_data(file.relative_to(path)) and file.is_file())
    if not found:
        raise UserError("The folder holds no data", where=str(path), allowed=READ)
    return found


def is_data(inside: Path) -> bool:
    """By its path within the folder that is searched."""
    if any(LEFT_BEHIND.fullmatch(part) for part in inside.parts):
        return False
    return DATA.fullmatch(inside.name) is not None and NO_ROWS.fullmatch(inside.name) is None


def prepared(folder: Path) -> Path:
    """Whole documents where `ladm prepare` wrote them: the run cuts them to its own window."""
    datasets: list[str] = [one["path"] for one in read_json(folder / "prepare.json")["datasets"]]
    return folder / next((one for one in datasets if Path(one).name.split(".")[0] == "long"), datasets[0])


def selected(folder: Path) -> Path:
    found = sorted(one for one in folder.iterdir() if one.name.split(".")[0] == "selected")
    if not found:
        raise UserError("The selection holds no rows", where=str(folder), fix="Run `ladm select` again, with its data.")
    return found[0]


def split(folder: Path) -> Path:
    splits = read_json(folder / "dataset_dict.json")["splits"]
    if "train" not in splits and len(splits) > 1:
        raise UserError(
            "No split `train`", where=str(folder), got=", ".join(splits), fix="Name the folder of one split."
        )
    return folder / ("train" if "train" in splits else splits[0])


def saved_dataset(folder: Path) -> list[Path]:
    state = read_json(folder / "state.json")
    if state.get("_indices_data_files"):
        raise UserError("The dataset is a view of its rows", where=str(folder), fix="Save it after flatten_indices().")
    return [folder / one["filename"] for one in state["_data_files"]]


def check_tokenizer(file: Path, tokenizer: Path, text: str) -> None:
    """Only where `ladm prepare` made the ids and says with what, and there is no text to take instead."""
    folder = next((one for one in list(file.parents)[:3] if (one / "prepare.json").is_file()), None)
    if folder is None or not tokenizer.is_file():
        return
    made = read_json(folder / "prepare.json")
    theirs = made["configuration"]["tokenizer"]
    of_file = (one["columns"] for one in made["datasets"] if file.is_relative_to(folder / one["path"]))
    columns: list[str] = next(of_file, [])
    if theirs is None or IDS not in columns or text in columns:
        return
    ours = hashlib.sha256(tokenizer.read_bytes()).hexdigest()
    if ours != theirs:
        raise UserError(
            "The token ids were made with another tokenizer",
            where=str(file),
            got=f"tokenizer.json of sha256 {theirs[:16]}",
            allowed=f"{tokenizer} of sha256 {ours[:16]}",
            fix="Prepare the data with this tokenizer, or name data with text.",
        )


def read_json(path: Path) -> dict[str, Any]:
    value = json.loads(path.read_text())
    if not isinstance(value, dict):
        raise UserError("Not what `datasets` or `ladm` writes", where=str(path), allowed="a JSON object")
    return value
