"""The data of the continue recipe: order, place, kinds of file, bad rows."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import zstandard

from lac.data import SequenceStream, Tokens
from lac.errors import UserError
from lac.rows import Ids
from lac.sources import open_data

END = 0
TOKENIZER = Path("no tokenizer.json")


def encode(content: str | Ids) -> Tokens:
    return np.array([*content.encode(), END], np.int32) if isinstance(content, str) else content.astype(np.int32)


def write(path: Path, texts: list[str]) -> Path:
    content = "".join(json.dumps({"text": text}) + "\n" for text in texts).encode()
    if path.suffix == ".gz":
        content = gzip.compress(content)
    if path.suffix == ".zst":
        compressor = zstandard.ZstdCompressor()
        # Two frames, as of two files joined.
        content = compressor.compress(content[: len(content) // 2]) + compressor.compress(content[len(content) // 2 :])
    path.write_bytes(content)
    return path


def stream(paths: list[Path], *, pack: bool = False, seed: int = 0, told: list[str] | None = None) -> SequenceStream:
    return SequenceStream(
        [file for path in paths for file in open_data(path, TOKENIZER, "text")],
        encode,
        8,
        pack=pack,
        seed=seed,
        buffer_size=5,
        on_bad_row=(told if told is not None else []).append,
    )


def sequences(texts: list[str]) -> list[list[int]]:
    """One document a sequence, said plainly."""
    ids = [[*text.encode(), END] for text in texts]
    return [document[start : start + 8] for document in ids for start in range(0, len(document), 8)]


# 19 letters and the end: 8, 8 and 4. Nothing has one token left over.
TEXTS = [chr(97 + number) * (number + 1) for number in range(20) if (number + 2) % 8 != 1]


def test_an_epoch_holds_every_sequence_once_and_no_two_documents_in_one(tmp_path: Path) -> None:
    names = ("a.jsonl", "b.jsonl.gz", "c.jsonl.zst")
    paths = [write(tmp_path / name, TEXTS[at::3]) for at, name in enumerate(names)]
    source = stream(paths)
    expected = sorted(sequences(TEXTS))
    for epoch in (0, 1):
        taken = [tokens.tolist() for tokens in source.take(len(expected))]
        assert source.epoch == epoch
        assert sorted(taken) == expected
        assert taken != expected


def test_the_seed_gives_the_order(tmp_path: Path) -> None:
    paths = [write(tmp_path / "a.jsonl", TEXTS)]
    orders = [[tokens.tolist() for tokens in stream(paths, seed=seed).take(30)] for seed in (0, 0, 1)]
    assert orders[0] == orders[1]
    assert orders[0] != orders[2]


def test_packing_joins_documents_and_loses_nothing(tmp_path: Path) -> None:
    source = stream([write(tmp_path / "a.jsonl", TEXTS)], pack=True)
    joined = [token for text in TEXTS for token in encode(text).tolist()]
    expected = [joined[start : start + 8] for start in range(0, len(joined), 8)]
    assert sorted(tokens.tolist() for tokens in source.take(len(expected))) == sorted(expected)
    assert source.epoch == 0


@pytest.mark.parametrize("pack", [False, True])
@pytest.mark.parametrize("taken", [0, 1, 7, 23, 40, 61])
def test_a_restored_stream_goes_on_the_same(tmp_path: Path, pack: bool, taken: int) -> None:
    paths = [write(tmp_path / "a.jsonl", TEXTS[::2]), write(tmp_path / "b.jsonl.gz", TEXTS[1::2])]
    whole, restored = stream(paths, pack=pack), stream(paths, pack=pack)
    whole.take(taken)
    place, arrays = whole.state()
    restored.restore(json.loads(json.dumps(place)), arrays)
    assert [tokens.tolist() for tokens in whole.take(50)] == [tokens.tolist() for tokens in restored.take(50)]


def test_bad_rows_are_named_counted_and_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "aaa"}\nno json\n\n{"txet": "b"}\n[1]\n{"text": 3}\n{"text": "ccc"}\n')
    told: list[str] = []
    source = stream([path], told=told)
    assert sorted(tokens.tolist() for tokens in source.take(2)) == sequences(["aaa", "ccc"])
    assert told == ["a.jsonl:2: not JSON", *(f"a.jsonl:{line}: no `text`" for line in (4, 5, 6))]
    assert source.bad_rows == 4


def test_a_file_cut_off_gives_the_rows_before_the_cut(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl.gz", ["".join(map(chr, np.random.default_rng(0).integers(97, 122, 9000)))] * 3)
    path.write_bytes(path.read_bytes()[:-20])
    told: list[str] = []
    source = stream([path], told=told)
    source.take(2 * 1125)
    assert source.epoch == 0
    assert len(told) == 1
    assert "cannot be unpacked" in told[0]


def test_data_without_a_sequence_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text('{"text": ""}\n')
    with pytest.raises(UserError, match="no sequence"):
        stream([tmp_path / "empty.jsonl"]).take(1)
