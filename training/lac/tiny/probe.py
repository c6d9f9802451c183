"""Whether a model fetches: loss on text that it has seen far back, and which heads look there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor

from .corpus import Tokens
from .fetch import CUE, Fetcher
from .model import Layer, TinyLlama

PASSAGE = 64


@dataclass(frozen=True)
class Probe:
    loss: float
    """Nats a token of text that is new."""
    copy_loss: dict[int, float]
    """Nats a token of a passage seen before, by its distance in tokens, without the first of it."""
    retrieval: list[list[float]]
    """`[layer][head]`: mean attention of the token before a repeated one to where that was seen."""

    @property
    def mean_copy_loss(self) -> float:
        return sum(self.copy_loss.values()) / len(self.copy_loss)

    @property
    def best_retrieval(self) -> float:
        return max(score for heads in self.retrieval for score in heads)


class Prober:
    """Fixed sequences; each repeats one passage, an eighth, a half or seven eighths of the length further on."""

    def __init__(self, tokens: Tokens, fetcher: Fetcher, length: int, count: int = 6) -> None:
        random = np.random.default_rng(20)
        self.samples: list[tuple[int, Tensor, Tensor]] = []
        long_enough = [ids for ids in tokens.probe if len(ids) > length]
        for at in range(count):
            ids = long_enough[at % len(long_enough)]
            start = int(random.integers(0, len(ids) - length))
            distance = length * (1, 4, 7)[at % 3] // 8 - (PASSAGE if at % 3 == 2 else 0)
            made = fetcher.plain(ids[start : start + length])
            fetcher.passage(made, PASSAGE, random, distance)
            self.samples.append((distance, torch.from_numpy(made.tokens), torch.from_numpy(made.source)))

    @torch.no_grad()
    def measure(self, model: TinyLlama) -> Probe:
        losses: list[Tensor] = []
        copies: dict[int, list[Tensor]] = {}
        retrieval: list[Tensor] = []
        for distance, tokens, source in self.samples:
            loss = model.losses(tokens[None])[0]
            copied = source[1:] >= 0
            # The passage's first tokens are neither new nor to be known.
            new = ~copied & torch.cat((~copied[CUE:], torch.ones(CUE, dtype=torch.bool)))
            losses.append(loss[new])
            copies.setdefault(distance, []).append(loss[copied])
            retrieval.append(retrieval_scores(model, tokens, source))
        return Probe(
            torch.cat(losses).mean().item(),
            {distance: torch.cat(found).mean().item() for distance, found in sorted(copies.items())},
            torch.stack(retrieval).mean(0).tolist(),
        )


def retrieval_scores(model: TinyLlama, tokens: Tensor, source: Tensor) -> Tensor:
    """`tokens`, `source` `[T]` → `[layer, head]`."""
    at = (source >= 0).nonzero()[:, 0]
    rows, columns = at - 1, source[at]
    rope = model.rope(len(tokens))
    x = model.embed_tokens(tokens[None])
    scores = []
    for module in model.layers:
        layer = cast(Layer, module)
        query, key = layer.self_attn.queries_and_keys(layer.input_layernorm(x), rope)
        logits = query[0, :, rows] @ key[0].transpose(-1, -2) * query.shape[-1] ** -0.5
        future = torch.arange(len(tokens)) > rows[:, None]
        weights = logits.float().masked_fill(future, -torch.inf).softmax(-1)
        scores.append(weights[:, torch.arange(len(rows)), columns].mean(-1))
        x = layer(x, rope)
    return torch.stack(scores)
