"""Documents to sequences of tokens in a seeded order whose place can be saved."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lac.errors import BadDocument, UserError
from lac.rows import READ, Ids, Row, Rows

Tokens = NDArray[np.int32]
Encode = Callable[[str | Ids], Tokens]
"""Text to token ids [T], the marks at its start and end included; ids as they are. Raises BadDocument."""


class SequenceStream:
    """Sequences of at most `length` tokens, without end, in an order that the seed gives.

    Each epoch reads the files in a drawn order, row by row, into a buffer of `buffer_size` sequences, and takes them
    from it at random; every sequence comes once an epoch. A document gives sequences of `length` and its tail; with
    `pack` documents are joined first. Sequences under two tokens are dropped: they predict nothing.
    Memory: the buffer, `buffer_size * length` int32.
    """

    def __init__(
        self,
        files: Sequence[Rows],
        encode: Encode,
        length: int,
        *,
        pack: bool,
        seed: int,
        buffer_size: int,
        on_bad_row: Callable[[str], None],
    ) -> None:
        self._files = files
        self._encode = encode
        self._length = length
        self._pack = pack
        self._seed = seed
        self._buffer_size = buffer_size
        self._on_bad_row = on_bad_row
        self._buffer: list[Tokens] = []
        self._rest: Tokens = np.empty(0, np.int32)
        self.bad_rows = 0
        self._start_epoch(0)

    def take(self, count: int) -> list[Tokens]:
        """The next sequences, each [T] with 2 <= T <= length. Raises UserError where the files hold none."""
        return [self._next() for _ in range(count)]

    def _next(self) -> Tokens:
        while True:
            while len(self._buffer) < self._buffer_size and not self._ended:
                self._read_document()
            if self._buffer:
                self._taken += 1
                at = int(self._random.integers(len(self._buffer)))
                self._buffer[at], self._buffer[-1] = self._buffer[-1], self._buffer[at]
                return self._buffer.pop()
            if self._taken == 0:
                raise UserError("The data files hold no sequence of two tokens", where="--data", allowed=READ)
            self._start_epoch(self.epoch + 1)

    def _start_epoch(self, epoch: int) -> None:
        self.epoch = epoch
        self._random = np.random.Generator(np.random.PCG64([self._seed, epoch]))
        self._order = self._random.permutation(len(self._files))
        self._file = 0
        self._row = 0
        self._taken = 0
        self._ended = False
        self._reading: Iterator[Row] | None = None

    def _read_document(self) -> None:
        """One document into the buffer, or the end of a file or of the epoch."""
        if self._file == len(self._files):
            self._add(self._rest)
            self._rest = np.empty(0, np.int32)
            self._ended = True
            return
        rows = self._files[self._order[self._file]]
        if self._reading is None:
            self._reading = rows.read(self._row)
        row = next(self._reading, None)
        if row is None:
            self._file, self._row, self._reading = self._file + 1, 0, None
            return
        self._row = row.number + 1
        try:
            tokens = self._encode(row.usable())
        except BadDocument as error:
            if self.epoch == 0:
                self.bad_rows += 1
                self._on_bad_row(f"{rows.name}:{row.number + 1}: {error}")
            return
        if self._pack:
            tokens = np.concatenate([self._rest, tokens])
            whole = len(tokens) // self._length * self._length
            tokens, self._rest = tokens[:whole], tokens[whole:].copy()
        for start in range(0, len(tokens), self._length):
            self._add(tokens[start : start + self._length])

    def _add(self, tokens: Tokens) -> None:
        if len(tokens) >= 2:
            # A copy, or a short tail would hold its whole document in memory.
            self._buffer.append(tokens.copy())

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """The place in the data: what goes into JSON, and arrays."""
        place = {
            "epoch": self.epoch,
            "file": self._file,
            "row": self._row,
            "taken": self._taken,
            "ended": self._ended,
            "bad_rows": self.bad_rows,
            "random": self._random.bit_generator.state,
        }
        arrays = {
            "lengths": np.array([len(tokens) for tokens in self._buffer], np.int64),
            "tokens": np.concatenate([np.empty(0, np.int32), *self._buffer]),
            "rest": self._rest,
        }
        return place, arrays

    def restore(self, place: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
        """Goes on as the stream that gave this state would have."""
        self._start_epoch(place["epoch"])
        self._file, self._row, self._taken = place["file"], place["row"], place["taken"]
        self._ended, self.bad_rows = place["ended"], place["bad_rows"]
        self._random.bit_generator.state = place["random"]
        ends = np.cumsum(arrays["lengths"])[:-1]
        self._buffer = list(np.split(arrays["tokens"], ends)) if len(arrays["lengths"]) else []
        self._rest = arrays["rest"]
