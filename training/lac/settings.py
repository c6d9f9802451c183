"""The flags of the continue recipe, and what of them makes two runs the same run."""

import argparse
import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lac.errors import UserError
from lac.rows import Rows

UNITS = {"k": 10**3, "m": 10**6, "b": 10**9}
END_BYTES = 1 << 16


@dataclass(frozen=True)
class Settings:
    """Defaults: the recipe of LADM (ACL 2025, appendix); batches of 32 sequences of 32,768 are its 1M tokens."""

    model: Path
    data: tuple[Path, ...]
    out: Path
    sequence_length: int = 32_768
    rope_base: float | None = None
    rope_scaling: dict[str, Any] | None = None
    tokens: int = 10**9
    batch_tokens: int = 1 << 20
    micro_batch: int = 1
    learning_rate: float = 2e-5
    warmup_steps: int = 20
    max_grad_norm: float = 1.0
    dtype: str = "bfloat16"
    attention: str | None = None
    text_column: str = "text"
    pack: bool = False
    shuffle_buffer: int = 1024
    checkpoint_every: int = 50
    seed: int = 0
    deterministic: bool = False
    dry_run: bool = False
    gpus: int | None = None


@dataclass(frozen=True)
class Plan:
    """What the flags come to on a number of processes."""

    processes: int
    batch_sequences: int
    """Of all processes together."""
    steps: int

    @property
    def sequences_each(self) -> int:
        return self.batch_sequences // self.processes


def plan(settings: Settings, processes: int) -> Plan:
    """A batch is rounded up to whole micro-batches on each process. Steps count full sequences, and are rounded up."""
    unit = processes * settings.micro_batch
    batch_sequences = math.ceil(settings.batch_tokens / settings.sequence_length / unit) * unit
    steps = math.ceil(settings.tokens / (batch_sequences * settings.sequence_length))
    return Plan(processes, batch_sequences, steps)


def configuration(
    settings: Settings, planned: Plan, attention: str, rope: dict[str, Any], files: Sequence[Rows]
) -> dict[str, Any]:
    """All that the losses hang on, without a path or a time: `run.json`."""
    free = {"model", "data", "out", "checkpoint_every", "dry_run", "gpus", "rope_base", "rope_scaling", "attention"}
    return {
        **{name: value for name, value in asdict(settings).items() if name not in free},
        **asdict(planned),
        "attention": attention,
        "rope": rope,
        "model": {path.name: fingerprint(path) for path in model_files(settings.model)},
        "data": [{file.name: fingerprint(file.path)} for file in files],
    }


def model_files(folder: Path) -> list[Path]:
    """Raises UserError where it is no Hugging Face folder with safetensors."""
    weights = sorted(folder.glob("*.safetensors"))
    if not (folder / "config.json").is_file() or not weights:
        raise UserError(
            "No checkpoint",
            where=str(folder),
            allowed="a folder with config.json and safetensors",
            fix="Check --model.",
        )
    return [folder / "config.json", *weights]


def fingerprint(path: Path) -> str:
    """Size and SHA-256 of the first and last 64 KiB: another file is noticed without reading all of it."""
    size = path.stat().st_size
    with path.open("rb") as file:
        digest = hashlib.sha256(file.read(END_BYTES))
        file.seek(max(0, size - END_BYTES))
        digest.update(file.read())
    return f"{size} bytes, sha256 {digest.hexdigest()[:16]}"


def count(text: str) -> int:
    """`1B`, `1.5M`, `32k` (decimal) or digits, above 0."""
    unit = UNITS.get(text[-1:].lower(), 1)
    value = float(text[:-1] if unit > 1 else text) * unit
    if not value.is_integer() or value < 1:
        raise argparse.ArgumentTypeError(f"{text}: allowed: a whole number above 0, as 1B, 1M, 32k or in digits")
    return int(value)


def positive(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text}: allowed: a number above 0")
    return value


def not_negative(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text}: allowed: a whole number from 0")
    return value


def scaling(text: str) -> dict[str, Any]:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f'{text}: allowed: a JSON object, as {{"rope_type": "yarn", "factor": 4}}')
    return value


def parse(arguments: list[str] | None = None) -> Settings:
    """Exits with code 2 and one line where a flag is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m lac.continue_training",
        description="Continue a Hugging Face decoder at a long window. The same command resumes a run.",
    )
    add = parser.add_argument
    add("--model", type=Path, required=True, help="Hugging Face folder with safetensors")
    add("--data", type=Path, nargs="+", required=True, help="files or folders: JSON lines, Parquet, datasets")
    add("--out", type=Path, required=True, help="folder of the run")
    add("--sequence-length", type=count, default=Settings.sequence_length, help="tokens (%(default)s)")
    rope = parser.add_mutually_exclusive_group()
    rope.add_argument("--rope-base", type=positive, help="500000, or the checkpoint's own where that is larger")
    rope.add_argument("--rope-scaling", type=scaling, help="JSON, as rope_parameters in config.json")
    add("--tokens", type=count, default=Settings.tokens, help="of the whole run (1B)")
    add("--batch-tokens", type=count, default=Settings.batch_tokens, help="of one step (%(default)s)")
    add("--micro-batch", type=count, default=Settings.micro_batch, help="sequences at a time on a GPU (%(default)s)")
    add("--learning-rate", type=positive, default=Settings.learning_rate, help="at its peak (%(default)s)")
    add("--warmup-steps", type=not_negative, default=Settings.warmup_steps, help="(%(default)s)")
    add("--max-grad-norm", type=positive, default=Settings.max_grad_norm, help="inf does not clip (%(default)s)")
    add("--dtype", choices=["bfloat16", "float32"], default=Settings.dtype, help="of the arithmetic (%(default)s)")
    add("--attention", choices=["flash_attention_2", "sdpa"], help="flash_attention_2 where it can run, or sdpa")
    add("--text-column", default=Settings.text_column, help="(%(default)s)")
    add("--pack", action="store_true", help="join documents; else a sequence holds one")
    add("--shuffle-buffer", type=count, default=Settings.shuffle_buffer, help="sequences (%(default)s)")
    add("--checkpoint-every", type=count, default=Settings.checkpoint_every, help="steps (%(default)s)")
    add("--seed", type=not_negative, default=Settings.seed, help="(%(default)s)")
    add("--deterministic", action="store_true", help="deterministic kernels on CUDA, slower")
    add("--dry-run", action="store_true", help="print sizes and steps; load no weights")
    add("--gpus", type=count, help="for the dry run; those of this machine")
    values = vars(parser.parse_args(arguments))
    return Settings(**{**values, "data": tuple(values["data"])})
