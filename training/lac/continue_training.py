"""Continue a decoder at a long window: `python -m lac.continue_training --help`. See training/README.md."""

import importlib.metadata
import os
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType

from lac.checkpointing import StepLog, claim, latest_checkpoint, locked, write_atomically
from lac.data import SequenceStream, Tokens
from lac.decoder import choose_attention, document_encoder, load_decoder, long_config, save_decoder
from lac.errors import UserError
from lac.loss import CHUNK_POSITIONS, IGNORED, DecoderLoss, check_head
from lac.memory import count_parameters, empty_decoder, estimate_memory
from lac.rope import describe_rope
from lac.run_state import Progress, load_run, save_run
from lac.schedule import learning_rate
from lac.settings import Settings, configuration, model_files, parse, plan
from lac.sources import open_data
from lac.stop_signal import StopSignal

BAD_ROWS = 3
BETAS = (0.9, 0.999)
GIB = 1 << 30
BACKWARD_TOGETHER = (DistributedType.MULTI_GPU, DistributedType.MULTI_CPU)


def dry_run(settings: Settings) -> None:
    """Sizes and steps; reads config.json alone."""
    gpus = settings.gpus or int(os.environ.get("WORLD_SIZE", "0")) or max(1, torch.cuda.device_count())
    config = long_config(settings)
    model = empty_decoder(config)
    planned = plan(settings, gpus)
    memory = estimate_memory(
        config,
        model,
        gpus=gpus,
        micro_batch=settings.micro_batch,
        length=settings.sequence_length,
        chunk=CHUNK_POSITIONS,
        bfloat16=settings.dtype == "bfloat16",
    )
    step_tokens = planned.batch_sequences * settings.sequence_length
    lines = [
        f"parameters          {count_parameters(model):,}",
        f"rope                {describe_rope(config)}",
        f"GPUs                {gpus}",
        f"batch               {step_tokens:,} tokens, {planned.batch_sequences:,} sequences",
        f"steps               {planned.steps:,}",
        f"tokens              {planned.steps * step_tokens:,}",
        "memory a GPU, estimated (FSDP full sharding, gradient checkpointing):",
        *(f"  {name:<17} {size / GIB:8.2f} GiB" for name, size in vars(memory).items()),
        f"  {'total':<17} {memory.total / GIB:8.2f} GiB",
    ]
    print("\n".join(lines))


def padded(sequences: list[Tokens]) -> tuple[torch.Tensor, torch.Tensor]:
    """ids and labels [B, T] int64, T that of the longest. Labels are the next tokens, `IGNORED` from the last on."""
    ids = torch.zeros(len(sequences), max(len(tokens) for tokens in sequences), dtype=torch.int64)
    labels = torch.full_like(ids, IGNORED)
    for row, tokens in enumerate(sequences):
        whole = torch.from_numpy(tokens).long()
        ids[row, : len(whole)] = whole
        labels[row, : len(whole) - 1] = whole[1:]
    return ids, labels


class Training:
    """Model, optimizer and data of one process, and what a step does with them."""

    def __init__(self, settings: Settings, accelerator: Accelerator) -> None:
        self.settings = settings
        self.accelerator = accelerator
        self.plan = plan(settings, accelerator.num_processes)
        model_files(settings.model)
        tokenizer = settings.model / "tokenizer.json"
        files = [file for path in settings.data for file in open_data(path, tokenizer, settings.text_column)]
        config = long_config(settings)
        attention = choose_attention(settings.attention)
        if accelerator.is_main_process:
            described = configuration(settings, self.plan, attention, describe_rope(config), files)
            claim(settings.out, described)
        accelerator.wait_for_everyone()
        self.stream = SequenceStream(
            files,
            document_encoder(settings.model, config, pack=settings.pack),
            settings.sequence_length,
            pack=settings.pack,
            seed=settings.seed,
            buffer_size=settings.shuffle_buffer,
            on_bad_row=self.tell,
        )
        model = DecoderLoss(load_decoder(settings, config, attention))
        if accelerator.is_main_process:
            check_head(model, str(settings.model))
        optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate, betas=BETAS, weight_decay=0.0)
        self.model, self.optimizer = accelerator.prepare(model, optimizer)
        newest = latest_checkpoint(settings.out)
        self.progress = Progress() if newest is None else load_run(newest, accelerator, self.stream)

    def tell(self, text: str) -> None:
        if self.accelerator.is_main_process:
            print(text, file=sys.stderr, flush=True)

    def step(self) -> dict[str, float]:
        """One optimizer step. Every process reads the whole batch and takes its own rows of it: the order hangs on no
        communication, and the number of tokens that the loss is a mean of is known before the first backward pass."""
        batch = self.stream.take(self.plan.batch_sequences)
        predicted = sum(len(tokens) - 1 for tokens in batch)
        mine = batch[self.accelerator.process_index :: self.plan.processes]
        size = self.settings.micro_batch
        starts = range(0, len(mine), size)
        total = torch.zeros((), device=self.accelerator.device)
        for start in starts:
            ids, labels = padded(mine[start : start + size])
            # FSDP sums its shards at every micro-batch: to put it off would keep whole gradients on each GPU.
            apart = start != starts[-1] and self.accelerator.distributed_type in BACKWARD_TOGETHER
            with self.accelerator.no_sync(self.model) if apart else nullcontext():
                loss = self.model(ids.to(self.accelerator.device), labels.to(self.accelerator.device))
                # Gradients are averaged over processes.
                self.accelerator.backward(loss * (self.plan.processes / predicted))
            total += loss.detach()
        norm = self.accelerator.clip_grad_norm_(self.model.parameters(), self.settings.max_grad_norm)
        step = self.progress.step + 1
        rate = learning_rate(
            step, steps=self.plan.steps, peak=self.settings.learning_rate, warmup_steps=self.settings.warmup_steps
        )
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.progress = Progress(step, self.progress.tokens + predicted)
        return {
            "step": step,
            "epoch": self.stream.epoch,
            "tokens": self.progress.tokens,
            "loss": float(self.accelerator.reduce(total, "sum")) / predicted,
            "learning_rate": rate,
            "grad_norm": float(norm),
        }

    def run(self, stop: StopSignal) -> int:
        """The signal that ended it, or 0."""
        main = self.accelerator.is_main_process
        log, times = (
            (StepLog(self.settings.out / name, self.progress.step) for name in ("log.jsonl", "times.jsonl"))
            if main
            else (None, None)
        )
        first_step, first_tokens, began = self.progress.step, self.progress.tokens, time.monotonic()
        while self.progress.step < self.plan.steps:
            start, tokens_before = time.monotonic(), self.progress.tokens
            line = self.step()
            seconds = time.monotonic() - start
            rate = (self.progress.tokens - tokens_before) / seconds
            if log is not None and times is not None:
                log.write(line)
                times.write({"step": self.progress.step, "seconds": seconds, "tokens_per_second": rate})
            done, steps = self.progress.step, self.plan.steps
            left = (time.monotonic() - began) / (done - first_step) * (steps - done)
            self.tell(
                f"step {done:,}/{steps:,}  loss {line['loss']:.4f}  {self.progress.tokens:,} tokens"
                f"  {rate:,.0f} tokens/s  {duration(left)} left"
            )
            stopped = self.stopped(stop)
            if stopped or done % self.settings.checkpoint_every == 0 or done == steps:
                if log is not None:
                    log.sync()
                save_run(self.settings.out, self.accelerator, self.progress, self.stream)
            if stopped:
                self.tell(f"stopped after step {done:,}; the same command goes on")
                return stopped
        taken = self.progress.step - first_step
        slots = taken * self.plan.batch_sequences * (self.settings.sequence_length - 1)
        if taken and (self.progress.tokens - first_tokens) * 2 < slots:
            self.tell("Batches were less than half full: documents are shorter than the sequence. See --pack.")
        return 0

    def stopped(self, stop: StopSignal) -> int:
        """The signal that any process got, the same on all of them."""
        number = torch.tensor([stop.number], device=self.accelerator.device)
        return int(self.accelerator.gather(number).max())


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes:02d}m" if hours else f"{minutes}m {rest:02d}s"


def make_deterministic() -> None:
    """Before the first CUDA call."""
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    os.environ["FLASH_ATTENTION_DETERMINISTIC"] = "1"
    torch.use_deterministic_algorithms(True)


def train(settings: Settings) -> int:
    """Starts or resumes, to the end or a signal. The exit code."""
    if settings.deterministic:
        make_deterministic()
    torch.manual_seed(settings.seed)
    accelerator = Accelerator(mixed_precision="bf16" if settings.dtype == "bfloat16" else "no")
    stop = StopSignal()
    with locked(settings.out) if accelerator.is_main_process else nullcontext():
        training = Training(settings, accelerator)
        if accelerator.is_main_process:
            packages = ("torch", "transformers", "accelerate", "tokenizers", "numpy")
            versions = "".join(f"{name} {importlib.metadata.version(name)}\n" for name in packages)
            write_atomically(settings.out / "versions.txt", versions)
        stopped = training.run(stop)
        final: Path = settings.out / "model"
        if not stopped and not final.exists():
            save_decoder(accelerator, training.model, settings.model, final)
    accelerator.end_training()
    if stopped:
        return 128 + stopped
    if training.stream.bad_rows:
        training.tell(f"{training.stream.bad_rows:,} rows were skipped, named above")
        return BAD_ROWS
    return 0


def main(arguments: list[str] | None = None) -> int:
    settings = parse(arguments)
    try:
        if settings.dry_run:
            dry_run(settings)
            return 0
        return train(settings)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
