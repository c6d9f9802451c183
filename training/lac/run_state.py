"""A checkpoint of a run: all that the next step hangs on."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from accelerate import Accelerator

from lac.checkpointing import finish_folder, prune_checkpoints, start_folder
from lac.data import SequenceStream


@dataclass
class Progress:
    """Steps taken, and tokens predicted in them."""

    step: int = 0
    tokens: int = 0


def save_run(out: Path, accelerator: Accelerator, progress: Progress, stream: SequenceStream) -> None:
    """Called by every process. Model, optimizer and random states through accelerate (sharded under FSDP); the place in
    the data is the same on all, so the main one writes it."""
    final = out / "checkpoints" / f"step-{progress.step:07d}"
    if accelerator.is_main_process:
        start_folder(final)
    accelerator.wait_for_everyone()
    folder = final.with_name(f".{final.name}.partial")
    accelerator.save_state(str(folder))
    if accelerator.is_main_process:
        place, arrays = stream.state()
        np.savez(folder / "data.npz", allow_pickle=False, **arrays)
        (folder / "state.json").write_text(json.dumps({"progress": asdict(progress), "data": place}))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        finish_folder(folder, final)
        prune_checkpoints(out)
    accelerator.wait_for_everyone()


def load_run(folder: Path, accelerator: Accelerator, stream: SequenceStream) -> Progress:
    """Puts back what `save_run` wrote."""
    accelerator.load_state(str(folder))
    state = json.loads((folder / "state.json").read_text())
    with np.load(folder / "data.npz", allow_pickle=False) as arrays:
        stream.restore(state["data"], dict(arrays))
    return Progress(**state["progress"])
