"""The documents of one file, as a stream: JSON lines, Parquet, Arrow."""

import gzip
import io
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from numpy.typing import NDArray

from lac.errors import BadDocument, UserError

Ids = NDArray[Any]
"""Integers of any type, as a file has them: a decoder may have no word for them."""

READ = "JSON lines (plain, .gz or .zst), Parquet or Arrow with `text` or `input_ids`, or a folder of them"
GZIP, ZSTD, PARQUET = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PAR1"
ARROW_FILE, ARROW_STREAM = b"ARRO", b"\xff\xff\xff\xff"
"""First bytes of a file."""
IDS = "input_ids"
BATCH_ROWS = 64
STRINGS = (pa.string(), pa.large_string(), pa.string_view())


@dataclass(frozen=True)
class Row:
    number: int
    """In its file, from 0."""
    content: str | Ids | None
    """Text, or the ids [T] of a table that has no text; None where it cannot be used."""
    why: str = ""

    def usable(self) -> str | Ids:
        """Raises BadDocument."""
        if self.content is None:
            raise BadDocument(self.why)
        return self.content


class Rows(Protocol):
    """A file of documents. A new kind of file is a class like this and a case in `lac.sources.open_file`."""

    path: Path
    name: str
    """As it is told to people: the file, within the folder that was named."""

    def read(self, start: int) -> Iterator[Row]:
        """Rows from the row `start` on, blank lines left out."""
        ...


class JsonLines:
    """JSON objects, one a line. Kind of compression by the first bytes."""

    def __init__(self, path: Path, name: str, text: str) -> None:
        self.path, self.name, self._text = path, name, text

    def read(self, start: int) -> Iterator[Row]:
        number = -1
        try:
            with self.path.open("rb") as file:
                for number, line in enumerate(unpacked(file)):
                    if number >= start and line.strip():
                        yield row_of_line(number, line, self._text)
        except (EOFError, OSError, zstandard.ZstdError) as error:
            yield Row(number + 1, None, f"the rest of the file cannot be unpacked: {error}")


class Table(ABC):
    """A file with columns, of which one is read. Raises UserError where there is none, or where it cannot be opened."""

    def __init__(self, path: Path, name: str, text: str) -> None:
        self.path, self.name = path, name
        try:
            self._column = column_of(self._inspect(), text, path)
        except (pa.ArrowException, OSError) as error:
            raise UserError(f"The table cannot be read: {error}", where=str(path)) from error

    def read(self, start: int) -> Iterator[Row]:
        number = -1
        try:
            for first, batch in self._batches(start):
                column = batch.column(self._column)
                for at in range(max(0, start - first), len(batch)):
                    number = first + at
                    yield row_of_cell(number, column[at], self._column)
        except (pa.ArrowException, OSError) as error:
            yield Row(max(number + 1, start), None, f"the rest of the file cannot be read: {error}")

    @abstractmethod
    def _inspect(self) -> pa.Schema: ...

    @abstractmethod
    def _batches(self, start: int) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Batches that hold rows from `start` on, each with the number of its first row."""


class Parquet(Table):
    def _inspect(self) -> pa.Schema:
        with pq.ParquetFile(self.path) as file:
            meta = file.metadata
            sizes = [meta.row_group(group).num_rows for group in range(meta.num_row_groups)]
            self._group_starts = np.cumsum([0, *sizes], dtype=np.int64)
            return file.schema_arrow

    def _batches(self, start: int) -> Iterator[tuple[int, pa.RecordBatch]]:
        group = int(np.searchsorted(self._group_starts[1:], start, side="right"))
        groups = range(group, len(self._group_starts) - 1)
        first = int(self._group_starts[group])
        with pq.ParquetFile(self.path) as file:
            for batch in file.iter_batches(BATCH_ROWS, row_groups=groups, columns=[self._column]):
                yield first, batch
                first += len(batch)


class Arrow(Table):
    """A stream, as `datasets` writes it, or a file (Feather)."""

    def _inspect(self) -> pa.Schema:
        with pa.memory_map(str(self.path)) as source, arrow_reader(source) as reader:
            return reader.schema

    def _batches(self, start: int) -> Iterator[tuple[int, pa.RecordBatch]]:
        first = 0
        with pa.memory_map(str(self.path)) as source, arrow_reader(source) as reader:
            whole = isinstance(reader, pa.RecordBatchFileReader)
            for batch in map(reader.get_batch, range(reader.num_record_batches)) if whole else reader:
                if first + len(batch) > start:
                    yield first, batch
                first += len(batch)


def arrow_reader(source: pa.MemoryMappedFile) -> pa.RecordBatchFileReader | pa.RecordBatchStreamReader:
    head = source.read(4)
    source.seek(0)
    return pa.ipc.open_file(source) if head == ARROW_FILE else pa.ipc.open_stream(source)


def column_of(schema: pa.Schema, text: str, path: Path) -> str:
    """That of the text where there is one, since any tokenizer can read it; else `input_ids`."""
    if text in schema.names and is_text(schema.field(text).type):
        return text
    if IDS in schema.names:
        kind = schema.field(IDS).type
        if (pa.types.is_list(kind) or pa.types.is_large_list(kind)) and pa.types.is_integer(kind.value_type):
            return IDS
    raise UserError(
        "No column to train on",
        where=str(path),
        got=", ".join(schema.names),
        allowed=f"`{text}` (strings) or `{IDS}` (lists of integers)",
        fix="See --text-column.",
    )


def is_text(kind: pa.DataType) -> bool:
    return (kind.value_type if pa.types.is_dictionary(kind) else kind) in STRINGS


def row_of_cell(number: int, cell: pa.Scalar, column: str) -> Row:
    if column == IDS and cell.is_valid and cell.values.null_count == 0:
        return row_of(number, cell.values.to_numpy(), column)
    return row_of(number, cell.as_py(), column)


def row_of_line(number: int, line: bytes, text: str) -> Row:
    try:
        row = json.loads(line)
    except ValueError:
        return Row(number, None, "not JSON")
    fields: dict[str, Any] = row if isinstance(row, dict) else {}
    ids = fields.get(IDS)
    if fields.get(text) or not isinstance(ids, list):
        return row_of(number, fields.get(text), text)
    whole = all(type(one) is int and abs(one) < 2**63 for one in ids)
    return row_of(number, np.array(ids) if whole else None, IDS)


def row_of(number: int, value: object, column: str) -> Row:
    if isinstance(value, str) and value:
        return Row(number, value)
    if isinstance(value, np.ndarray) and len(value):
        return Row(number, value)
    return Row(number, None, f"no `{column}`")


def unpacked(file: BinaryIO) -> BinaryIO:
    """The bytes of a file that may be gzip or zstd, by its first bytes."""
    head = file.read(4)
    file.seek(0)
    if head.startswith(GZIP):
        return io.BufferedReader(gzip.GzipFile(fileobj=file))
    if head == ZSTD:
        unpacker = zstandard.ZstdDecompressor(max_window_size=2**31)
        return io.BufferedReader(unpacker.stream_reader(file, read_across_frames=True), 1 << 20)
    return file
