"""
The published flow from its own side: a Pile-like dataset before it, and what the published filter picks after it.

    published.py make DIR             a DatasetDict `DIR` with texts of two lengths in three sets
    published.py check RUN LONG OUT TOKENS
                                      OUT holds the very rows of LONG that the filter's rules pick, in its order
"""

import json
import random
import sys
from pathlib import Path

from datasets import Dataset, DatasetDict, load_from_disk

SETS = ["ArXiv", "Github", "Books3"]


def make(folder: str) -> None:
    chosen = random.Random(7)
    words = ["".join(chosen.choices("abcdefghijklmnop", k=chosen.randint(2, 9))) for _ in range(300)]
    rows = [
        {
            "text": " ".join(chosen.choices(words, k=chosen.choice([40, 400, 500, 900]))),
            "meta": {"pile_set_name": chosen.choice(SETS)},
        }
        for _ in range(90)
    ]
    DatasetDict({"train": Dataset.from_list(rows)}).save_to_disk(folder)


def pick(run: str, lengths: list[int], token_budget: int) -> list[int]:
    """
    All score rows by score, best first; whole percentages of every group until the tokens of the documents, whole,
    are above the budget. Files in order of their names, ties in order of reading, groups in order of their names.
    """
    rows = []
    for path in sorted(Path(run, "scores").glob("part*-score.json")):
        rows += [json.loads(line) for line in path.read_text().splitlines()]
    rows.sort(key=lambda row: row["score"], reverse=True)
    groups: dict[str, list[int]] = {}
    for row in rows:
        groups.setdefault(row["meta"]["pile_set_name"], []).append(row["index"])
    picked: list[int] = []
    for percent in range(1, 101):
        picked = []
        for name in sorted(groups):
            picked += groups[name][: int(len(groups[name]) * percent * 0.01)]
        if sum(lengths[index] for index in picked) > token_budget:
            break
    return picked


def check(run: str, long: str, out: str, token_budget: str) -> None:
    whole = load_from_disk(long)["train"]
    picked = pick(run, [len(ids) for ids in whole["input_ids"]], int(token_budget))
    selected = load_from_disk(out)
    assert isinstance(selected, DatasetDict), type(selected)
    assert selected["train"].features == whole.features, (selected["train"].features, whole.features)
    assert [dict(row) for row in selected["train"]] == [dict(whole[index]) for index in picked]
    assert 0 < len(picked) < len(whole), (len(picked), len(whole))
    print(json.dumps({"rows": len(whole), "picked": picked}))


if __name__ == "__main__":
    {"make": make, "check": check}[sys.argv[1]](*sys.argv[2:])
