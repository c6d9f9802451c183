"""What a `--data` may name: tables, saved datasets, and the folders that `ladm prepare` and `ladm select` write."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lac.errors import UserError
from lac.rows import Row
from lac.sources import open_data

TOKENIZER = Path("no tokenizer.json")
TEXTS = [f"document {number}" for number in range(200)]
IDS = [[number, number + 1, number + 2] for number in range(200)]


def write_parquet(path: Path, table: pa.Table) -> None:
    pq.write_table(table, path, row_group_size=70)


def write_arrow(path: Path, table: pa.Table) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=70)


def write_feather(path: Path, table: pa.Table) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=70)


def write_lines(path: Path, table: pa.Table) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))


def save_dataset(folder: Path, tables: list[pa.Table]) -> Path:
    """As `Dataset.save_to_disk`."""
    folder.mkdir(parents=True)
    names = [f"data-{at:05d}-of-{len(tables):05d}.arrow" for at in range(len(tables))]
    for name, table in zip(names, tables, strict=True):
        write_arrow(folder / name, table)
    state = {"_data_files": [{"filename": name} for name in names], "_split": "train"}
    (folder / "state.json").write_text(json.dumps(state))
    return folder


def ids_table(ids: list[list[int] | None], kind: pa.DataType) -> pa.Table:
    return pa.table({"input_ids": pa.array(ids, kind), "index": list(range(len(ids)))})


def plain(row: Row) -> object:
    return row.content.tolist() if isinstance(row.content, np.ndarray) else row.content


def read(path: Path, start: int = 0) -> list[tuple[str, int, object]]:
    files = open_data(path, TOKENIZER, "text")
    return [(file.name, row.number, plain(row)) for file in files for row in file.read(start)]


def contents(path: Path) -> list[object]:
    return [content for _, _, content in read(path)]


WRITERS = {"a.parquet": write_parquet, "a.arrow": write_arrow, "a.feather": write_feather, "a.jsonl": write_lines}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("start", [0, 1, 69, 70, 71, 139, 140, 199, 200])
def test_a_file_is_read_from_any_row(tmp_path: Path, name: str, start: int) -> None:
    WRITERS[name](tmp_path / name, pa.table({"n": list(range(200)), "text": TEXTS}))
    expected = [(name, number, text) for number, text in enumerate(TEXTS)]
    assert read(tmp_path / name, start) == expected[start:]


def test_files_beside_the_data_are_none(tmp_path: Path) -> None:
    row = json.dumps({"text": "a"}) + "\n"
    kept = ["a.jsonl", "b.jsonlines", "lang=en/c.json", "_year=2024/d.jsonl"]
    left = ["_e.jsonl", ".git/f.jsonl", "_temporary/g.jsonl", "dataset_infos.json", "cache-1.arrow", "h.jsonl.part"]
    for name in [*kept, *left]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(row)
    names = [name for name, _, _ in read(tmp_path)]
    assert names == [f"{tmp_path.name}/{name}" for name in sorted(kept, key=Path)]


KINDS = [pa.list_(pa.int32()), pa.large_list(pa.int64()), pa.list_(pa.uint16())]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", WRITERS)
def test_token_ids_are_read_where_there_is_no_text(tmp_path: Path, name: str, kind: pa.DataType) -> None:
    WRITERS[name](tmp_path / name, ids_table([*IDS], kind))
    assert contents(tmp_path / name) == IDS


def test_text_is_taken_rather_than_ids(tmp_path: Path) -> None:
    for name, writer in WRITERS.items():
        table = pa.table({"input_ids": IDS, "text": pa.array(TEXTS, pa.large_string())})
        writer(tmp_path / name, table)
        assert contents(tmp_path / name) == TEXTS


def test_the_column_of_the_text_may_have_another_name(tmp_path: Path) -> None:
    for name, writer in WRITERS.items():
        writer(tmp_path / name, pa.table({"text": IDS, "content": TEXTS}))
        rows = [row for file in open_data(tmp_path / name, TOKENIZER, "content") for row in file.read(0)]
        assert [row.content for row in rows] == TEXTS


@pytest.mark.parametrize("name", WRITERS)
def test_rows_without_content_are_said_to_be_so(tmp_path: Path, name: str) -> None:
    """`None`, an empty list, and a list with a hole."""
    rows = [[1, 2], None, [], [3, None], [4]]
    WRITERS[name](tmp_path / name, pa.table({"input_ids": pa.array(rows, pa.list_(pa.int32()))}))
    made = [row for file in open_data(tmp_path / name, TOKENIZER, "text") for row in file.read(0)]
    assert [plain(row) for row in made] == [[1, 2], None, None, None, [4]]
    assert all(row.why.startswith("no `") for row in made if row.content is None)


def test_a_folder_gives_its_files_in_order_and_leaves_others(tmp_path: Path) -> None:
    folder = tmp_path / "pool"
    (folder / "b").mkdir(parents=True)
    write_parquet(folder / "b" / "part-1.parquet", pa.table({"text": ["third"]}))
    write_lines(folder / "a.json", pa.table({"text": ["first", "second"]}))
    (folder / "README.md").write_text("none of it")
    (folder / "_SUCCESS.parquet").write_text("")
    assert read(folder) == [
        ("pool/a.json", 0, "first"),
        ("pool/a.json", 1, "second"),
        ("pool/b/part-1.parquet", 0, "third"),
    ]


def test_a_saved_dataset_is_read_by_its_own_list_of_files(tmp_path: Path) -> None:
    tables = [pa.table({"text": TEXTS[:150]}), pa.table({"text": TEXTS[150:]})]
    saved = save_dataset(tmp_path / "saved", tables)
    write_arrow(saved / "cache-of-a-map.arrow", tables[0])
    assert contents(saved) == TEXTS


def test_of_a_dict_of_splits_train_is_read(tmp_path: Path) -> None:
    (tmp_path / "pool").mkdir()
    (tmp_path / "pool" / "dataset_dict.json").write_text('{"splits": ["test", "train"]}')
    save_dataset(tmp_path / "pool" / "test", [pa.table({"text": ["no"]})])
    save_dataset(tmp_path / "pool" / "train", [pa.table({"text": ["yes"]})])
    assert read(tmp_path / "pool") == [("pool/train/data-00000-of-00001.arrow", 0, "yes")]


def preparation(folder: Path, columns: dict[str, list[str]], tokenizer: str | None) -> Path:
    """`long` and `truncated` as folders of Parquet."""
    long = {"text": TEXTS, "input_ids": IDS, "index": list(range(200))}
    tables = {"long": pa.table(long), "truncated": ids_table([one[:2] for one in IDS], KINDS[0])}
    for name, kept in columns.items():
        (folder / name).mkdir(parents=True)
        write_parquet(folder / name / "part-00000.parquet", tables[name].select(kept))
    datasets = [{"name": name, "path": name, "columns": kept} for name, kept in columns.items()]
    made = {"configuration": {"tokenizer": tokenizer}, "datasets": datasets}
    (folder / "prepare.json").write_text(json.dumps(made))
    return folder


def test_of_a_prepared_folder_the_whole_documents_are_read(tmp_path: Path) -> None:
    folder = preparation(tmp_path / "both", {"long": ["text", "input_ids"], "truncated": ["input_ids"]}, None)
    assert contents(folder) == TEXTS
    assert contents(folder / "truncated") == [one[:2] for one in IDS]
    assert contents(preparation(tmp_path / "windows", {"truncated": ["input_ids"]}, None)) == [one[:2] for one in IDS]


def test_ids_of_another_tokenizer_are_refused(tmp_path: Path) -> None:
    ours, other = tmp_path / "tokenizer.json", tmp_path / "other.json"
    ours.write_text("{}")
    other.write_text("{ }")
    made = hashlib.sha256(ours.read_bytes()).hexdigest()
    folder = preparation(tmp_path / "pool", {"long": ["text", "input_ids"], "truncated": ["input_ids"]}, made)
    for path in (folder, folder / "truncated", folder / "truncated" / "part-00000.parquet"):
        assert open_data(path, ours, "text")
    # Whole documents have their text, which any tokenizer reads.
    assert open_data(folder, other, "text")
    for path in (folder / "truncated", folder / "truncated" / "part-00000.parquet"):
        with pytest.raises(UserError, match="another tokenizer"):
            open_data(path, other, "text")


def test_a_selection_is_read_by_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "chosen"
    folder.mkdir()
    (folder / "selection.json").write_text("{}")
    write_parquet(folder / "selection.parquet", pa.table({"index": [1]}))
    write_lines(folder / "sorted_by_score.jsonl", pa.table({"score": [1.0]}))
    write_lines(folder / "selected.jsonl", pa.table({"text": ["chosen"]}))
    assert read(folder) == [("chosen/selected.jsonl", 0, "chosen")]


def test_a_torn_table_gives_the_rows_before(tmp_path: Path) -> None:
    path = tmp_path / "a.arrow"
    write_arrow(path, pa.table({"text": TEXTS}))
    path.write_bytes(path.read_bytes()[:-900])
    rows = [row for file in open_data(path, TOKENIZER, "text") for row in file.read(0)]
    assert [row.content for row in rows[:-1]] == TEXTS[: len(rows) - 1]
    assert len(rows) in (71, 141)
    assert rows[-1].content is None
    assert "cannot be read" in rows[-1].why


def empty(path: Path) -> Path:
    path.mkdir()
    return path


def unfinished(path: Path) -> Path:
    (path / "unfinished").mkdir(parents=True)
    return path


def splits(path: Path) -> Path:
    (path).mkdir()
    (path / "dataset_dict.json").write_text('{"splits": ["test", "validation"]}')
    return path


def view(path: Path) -> Path:
    save_dataset(path, [pa.table({"text": TEXTS})])
    state: dict[str, Any] = json.loads((path / "state.json").read_text())
    (path / "state.json").write_text(json.dumps({**state, "_indices_data_files": [{"filename": "i.arrow"}]}))
    return path


def other_columns(path: Path) -> Path:
    write_parquet(path, pa.table({"text": [1, 2], "input_ids": ["a", "b"]}))
    return path


def torn_parquet(path: Path) -> Path:
    path.write_bytes(b"PAR1....")
    return path


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (Path, "does not exist"),
        (empty, "holds no data"),
        (unfinished, "not finished"),
        (splits, "No split `train`"),
        (view, "flatten_indices"),
        (other_columns, "No column to train on"),
        (torn_parquet, "cannot be read"),
    ],
)
def test_what_is_not_read_is_refused(tmp_path: Path, make: Callable[[Path], Path], said: str) -> None:
    with pytest.raises(UserError, match=said):
        open_data(make(tmp_path / "data"), TOKENIZER, "text")
