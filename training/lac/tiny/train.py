"""
Makes `lac-tiny`: a Long Attention Calculator from scratch, on a CPU, out of the development corpus.

    python -m lac.tiny.train --data corpus-dev.jsonl.zst --work WORK --out models/lac-tiny

Lengths grow from 512 over 2,048 to 8,192 tokens; the rotary base is 500,000 from the start. A share of the sequences
has passages, definitions and facts that come again far on. The same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor

from .batches import Batches
from .corpus import encode, training_documents
from .export import export
from .fetch import Fetcher
from .model import ModelConfig, TinyLlama
from .muon import Muon
from .probe import Probe, Prober
from .tokenizer import train_tokenizer

BATCH_TOKENS = 8192
CLIP = 1.0
PROBE_TOKENS = 1_000_000
SAVE_SECONDS = 120
BFLOAT16 = torch.ops.mkldnn._is_mkldnn_bf16_supported()
"""A CPU without AVX-512 emulates bfloat16 products, at a fiftieth of the speed of float32."""


@dataclass(frozen=True)
class Phase:
    length: int
    tokens: int


@dataclass(frozen=True)
class Recipe:
    phases: tuple[Phase, ...] = (Phase(512, 13_000_000), Phase(2048, 12_000_000), Phase(8192, 4_000_000))
    fetch_share: float = 0.3
    matrix_rate: float = 0.02
    """Of Muon, for the matrices of the layers."""
    other_rate: float = 3e-3
    """Of AdamW, for embeddings and norms."""
    warmup_steps: int = 50
    decay_share: float = 0.35
    """The last share of all tokens, over which the rates fall to a twentieth."""
    seed: int = 0

    @property
    def tokens(self) -> int:
        return sum(phase.tokens for phase in self.phases)

    def rate(self, step: int, seen: int) -> float:
        """Factor of both learning rates."""
        warm = min(1.0, (step + 1) / self.warmup_steps)
        left = (self.tokens - seen) / (self.decay_share * self.tokens)
        return warm * max(0.05, min(1.0, left))


class Training:
    def __init__(self, recipe: Recipe, config: ModelConfig, work: Path) -> None:
        self.recipe, self.work = recipe, work
        torch.manual_seed(recipe.seed)
        self.model = TinyLlama(config)
        matrices = [p for name, p in self.model.named_parameters() if name.startswith("layers") and p.ndim == 2]
        others = [p for name, p in self.model.named_parameters() if not name.startswith("layers") or p.ndim != 2]
        self.optimizers = [
            Muon(matrices, lr=recipe.matrix_rate)
            if not BFLOAT16
            else torch.optim.Muon(matrices, lr=recipe.matrix_rate, weight_decay=0.0),
            torch.optim.AdamW(others, lr=recipe.other_rate, betas=(0.9, 0.95), weight_decay=0.0),
        ]
        self.rates = [recipe.matrix_rate, recipe.other_rate]
        self.step, self.seen, self.phase, self.phase_seen = 0, 0, 0, 0

    @property
    def file(self) -> Path:
        return self.work / "state.pt"

    def save(self) -> None:
        state = {
            "recipe": asdict(self.recipe),
            "model": self.model.state_dict(),
            "optimizers": [one.state_dict() for one in self.optimizers],
            "at": (self.step, self.seen, self.phase, self.phase_seen),
        }
        torch.save(state, self.file.with_suffix(".tmp"))
        os.replace(self.file.with_suffix(".tmp"), self.file)

    def restore(self) -> None:
        if not self.file.exists():
            return
        state = torch.load(self.file, weights_only=False)
        if state["recipe"] != asdict(self.recipe):
            raise SystemExit(f"{self.file} is of another recipe: {state['recipe']}; name another --work")
        self.model.load_state_dict(state["model"])
        for optimizer, stored in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(stored)
        self.step, self.seen, self.phase, self.phase_seen = state["at"]

    def update(self, tokens: Tensor, losses: Callable[[Tensor], Tensor]) -> float:
        """One step; returns the mean loss before it."""
        factor = self.recipe.rate(self.step, self.seen)
        for optimizer, rate in zip(self.optimizers, self.rates, strict=True):
            optimizer.param_groups[0]["lr"] = rate * factor
            optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=BFLOAT16):
            loss = losses(tokens).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), CLIP)
        for optimizer in self.optimizers:
            optimizer.step()
        self.step += 1
        self.seen += tokens.numel()
        self.phase_seen += tokens.numel()
        return loss.item()


class Log:
    """A line a probe in `log.jsonl`, and on the terminal."""

    def __init__(self, training: Training) -> None:
        self.training = training
        self.started, self.seen_before = time.monotonic(), training.seen

    def write(self, length: int, training_loss: float, probe: Probe) -> None:
        recipe, step, seen = self.training.recipe, self.training.step, self.training.seen
        line = {"step": step, "tokens": seen, "length": length, "training_loss": training_loss, **asdict(probe)}
        with (self.training.work / "log.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")
        speed = (seen - self.seen_before) / (time.monotonic() - self.started)
        print(
            f"{seen / 1e6:5.1f}M of {recipe.tokens / 1e6:.1f}M tokens  length {length}  loss {training_loss:.3f}  "
            f"new text {probe.loss:.3f}  copied {probe.mean_copy_loss:.3f}  best head {probe.best_retrieval:.2f}  "
            f"{speed:,.0f} tokens/s  {(recipe.tokens - seen) / speed / 60:.0f} min left",
            flush=True,
        )


def train(training: Training, make_batches: Callable[[int], Batches], make_prober: Callable[[int], Prober]) -> None:
    """Goes through the phases that are left; saves every two minutes and after each phase."""
    losses = torch.compile(training.model.losses)
    while training.phase < len(training.recipe.phases):
        phase = training.recipe.phases[training.phase]
        batches, prober, log = make_batches(phase.length), make_prober(phase.length), Log(training)
        saved, probed = time.monotonic(), training.phase_seen
        mean: float | None = None
        while training.phase_seen < phase.tokens:
            batch = batches.at(training.step, BATCH_TOKENS // phase.length)
            loss = training.update(batch.tokens, losses)
            mean = loss if mean is None else 0.98 * mean + 0.02 * loss
            if training.phase_seen - probed >= PROBE_TOKENS or training.phase_seen >= phase.tokens:
                probed = training.phase_seen
                log.write(phase.length, mean, prober.measure(training.model))
            if time.monotonic() - saved > SAVE_SECONDS:
                training.save()
                saved = time.monotonic()
        training.phase, training.phase_seen = training.phase + 1, 0
        training.save()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the development corpus, JSON lines, plain or .zst")
    parser.add_argument("--work", type=Path, required=True, help="folder of checkpoints and of the log")
    parser.add_argument("--out", type=Path, required=True, help="folder of the model")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the tokens of the whole recipe")
    asked = parser.parse_args()
    asked.work.mkdir(parents=True, exist_ok=True)
    recipe = Recipe(seed=asked.seed)
    phases = tuple(Phase(phase.length, int(phase.tokens * asked.scale)) for phase in recipe.phases)
    config = ModelConfig()
    documents = training_documents(asked.data)
    tokenizer_file = asked.work / "tokenizer.json"
    if not tokenizer_file.exists():
        train_tokenizer((document.text for document in documents), config.vocab_size).save(str(tokenizer_file))
    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    tokens = encode(documents, tokenizer, asked.work)
    fetcher = Fetcher(tokenizer)
    training = Training(replace(recipe, phases=phases), config, asked.work)
    training.restore()
    parameters = sum(parameter.numel() for parameter in training.model.parameters())
    print(f"{tokens.count:,} tokens of {len(documents)} documents; {parameters:,} parameters", flush=True)
    train(
        training,
        lambda length: Batches(tokens, fetcher, length, recipe.fetch_share, recipe.seed),
        lambda length: Prober(tokens, fetcher, length),
    )
    export(training.model, tokenizer, asked.out)


if __name__ == "__main__":
    main()
