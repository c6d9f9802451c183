"""Sequences of single documents, some with recurrences written over them; seed, length and step give the same ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .corpus import Tokens
from .fetch import Fetcher


@dataclass(frozen=True)
class Batch:
    tokens: Tensor
    """`[B, T]`, int64."""
    source: Tensor
    """`[B, T]`, int64: position that a token repeats, else -1."""


class Batches:
    def __init__(self, tokens: Tokens, fetcher: Fetcher, length: int, fetch_share: float, seed: int) -> None:
        self.fetcher, self.length, self.fetch_share, self.seed = fetcher, length, fetch_share, seed
        # A sequence is one document's: shorter documents have none of this length.
        self.domains = [
            kept for documents in tokens.training.values() if (kept := [ids for ids in documents if len(ids) > length])
        ]
        # Larger documents and domains are read more, but not in proportion: a pool to be scored is another mixture.
        self.shares = [normalised([len(ids) ** 0.5 for ids in documents]) for documents in self.domains]
        self.domain_shares = normalised([sum(map(len, documents)) ** 0.5 for documents in self.domains])

    def at(self, step: int, size: int) -> Batch:
        random = np.random.default_rng((self.seed, self.length, step))
        made = []
        for _ in range(size):
            ids = self.stretch(random, self.length)
            if random.random() < self.fetch_share:
                made.append(self.fetcher.write(ids, self.stretch(random, 256), random))
            else:
                made.append(self.fetcher.plain(ids))
        return Batch(
            torch.from_numpy(np.stack([one.tokens for one in made])),
            torch.from_numpy(np.stack([one.source for one in made])),
        )

    def stretch(self, random: np.random.Generator, length: int) -> np.ndarray:
        domain = random.choice(len(self.domains), p=self.domain_shares)
        ids = self.domains[domain][random.choice(len(self.domains[domain]), p=self.shares[domain])]
        start = int(random.integers(0, len(ids) - length + 1))
        return ids[start : start + length]


def normalised(values: list[float]) -> np.ndarray:
    shares = np.asarray(values)
    return shares / shares.sum()
