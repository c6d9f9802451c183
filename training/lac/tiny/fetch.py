"""Text in which something must be fetched from far back: passages, definitions and facts come again at a distance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tokenizers import Tokenizer

# A copy cannot be told from new text before a few of its tokens were seen.
CUE = 4
MINIMUM_DISTANCE = 64
SYLLABLES = [
    "ba",
    "cor",
    "del",
    "fen",
    "gar",
    "hol",
    "is",
    "jun",
    "kel",
    "lor",
    "mar",
    "nev",
    "or",
    "pel",
    "quin",
    "ros",
    "sar",
    "tam",
    "ul",
    "vor",
    "wes",
    "yar",
    "zel",
]
ATTRIBUTES = [
    "number",
    "code",
    "price",
    "age",
    "length",
    "address",
    "capital",
    "owner",
    "colour",
    "key",
    "version",
    "date",
]
STATEMENTS = [
    "\n\nThe {attribute} of {name} is {value}.",
    " Note that {name} has the {attribute} {value}.",
    "\n{name}: {attribute} = {value}\n",
    " ({name}, whose {attribute} is {value})",
]
DEFINITIONS = ["\n\n{name} means: {value}", "\n\nDefinition ({name}). {value}", "\n{name} -- {value}\n"]


@dataclass(frozen=True)
class Fetched:
    tokens: np.ndarray
    """`[T]`, int64."""
    source: np.ndarray
    """`[T]`, int64: the position that a token repeats, where it can only be known from there; else -1."""


class Fetcher:
    """Writes recurrences over a sequence, in place: its length stays."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer

    def plain(self, ids: np.ndarray) -> Fetched:
        return Fetched(ids.astype(np.int64), np.full(len(ids), -1))

    def write(self, ids: np.ndarray, elsewhere: np.ndarray, random: np.random.Generator) -> Fetched:
        """Some four recurrences per 1,024 tokens. @param elsewhere `[any]`, text that definitions are cut from"""
        made = self.plain(ids)
        for _ in range(max(1, len(ids) * int(random.integers(2, 6)) // 1024)):
            kind = random.choice(["passage", "definition", "fact"], p=[0.5, 0.2, 0.3])
            if kind == "passage":
                self.passage(made, int(random.integers(12, 97)), random)
            else:
                self.statement(made, kind, elsewhere, random)
        return made

    def passage(self, made: Fetched, length: int, random: np.random.Generator, distance: int | None = None) -> None:
        """Copies `length` tokens to `distance` tokens further on; else at any, each order of magnitude as often."""
        size = len(made.tokens)
        distance = distance or log_uniform(length + MINIMUM_DISTANCE, size - length, random)
        if length + distance >= size:
            return
        start = int(random.integers(0, size - distance - length))
        self.put(made, start + distance, made.tokens[start : start + length].copy(), start, CUE)

    def statement(self, made: Fetched, kind: str, elsewhere: np.ndarray, random: np.random.Generator) -> None:
        name = "".join(random.choice(SYLLABLES, int(random.integers(2, 5)))).capitalize()
        templates = STATEMENTS if kind == "fact" else DEFINITIONS
        attribute = random.choice(ATTRIBUTES)
        value = self.fact(random) if kind == "fact" else self.sentence(elsewhere, random)
        first, again = random.choice(templates, 2)
        parts = [self.parts(str(template), name, str(attribute), value) for template in (first, again)]
        (before, said, after), (before_again, said_again, after_again) = parts
        if not np.array_equal(said, said_again):
            return
        size, longest = len(made.tokens), max(sum(map(len, part)) for part in parts)
        if size < 2 * longest + MINIMUM_DISTANCE:
            return
        distance = log_uniform(longest + MINIMUM_DISTANCE, size - longest, random)
        start = int(random.integers(0, size - distance - longest + 1))
        self.put(made, start, np.concatenate((before, said, after)), None, 0)
        self.put(made, start + distance, before_again, None, 0)
        self.put(made, start + distance + len(before_again), said, start + len(before), 0 if kind == "fact" else 1)
        self.put(made, start + distance + len(before_again) + len(said), after_again, None, 0)

    def parts(self, template: str, name: str, attribute: str, value: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        before, after = template.format(name=name, attribute=attribute, value="\0").split("\0")
        # The blank before a word belongs to its token.
        blank = before.endswith(" ")
        return self.encode(before.rstrip(" ") if blank else before), self.encode(" " + value), self.encode(after)

    def fact(self, random: np.random.Generator) -> str:
        if random.random() < 0.5:
            return str(random.integers(100, 1_000_000))
        return " ".join("".join(random.choice(SYLLABLES, 2)) for _ in range(int(random.integers(1, 4))))

    def sentence(self, elsewhere: np.ndarray, random: np.random.Generator) -> str:
        length = int(random.integers(12, 60))
        start = int(random.integers(0, max(1, len(elsewhere) - length)))
        return self.tokenizer.decode(elsewhere[start : start + length].tolist()).strip()

    def encode(self, text: str) -> np.ndarray:
        return np.asarray(self.tokenizer.encode(text, add_special_tokens=False).ids, dtype=np.int64)

    def put(self, made: Fetched, at: int, tokens: np.ndarray, source: int | None, cue: int) -> None:
        """What is overwritten can no longer be fetched, nor fetch."""
        end = at + len(tokens)
        made.tokens[at:end] = tokens
        made.source[(made.source >= at) & (made.source < end)] = -1
        made.source[at:end] = -1
        if source is not None:
            made.source[at + cue : end] = np.arange(source + cue, source + len(tokens))


def log_uniform(low: int, high: int, random: np.random.Generator) -> int:
    return int(np.exp(random.uniform(np.log(low), np.log(max(low + 1, high)))))
