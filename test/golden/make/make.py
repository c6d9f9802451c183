#!/usr/bin/env python3
"""Makes (or, with --check, only verifies) the golden numbers in ../data; see README.md."""
import argparse
import json
import math
from pathlib import Path

import numpy as np
import torch
import transformers
from safetensors.torch import save_file

from families import FAMILIES, make
from oracle import Settings, score, token_losses

DATA = Path(__file__).resolve().parent.parent / "data"
MADE_BY = f"oracle.py (pair scores in float64, model in float32, CPU; torch {torch.__version__.split('+')[0]}, transformers {transformers.__version__})"
SMALL_SPANS = {"chunk": 16, "d_afs": 2, "d_cds": 2}

# Given with the published code's own scores; their weights are the files themselves.
PUBLISHED = ["llama-mha", "llama-gqa", "llama-gqa-tied-llama3rope", "llama-linear-rope-bias"]

COMMON = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "vocab_size": 256, "rms_norm_eps": 1e-05,
          "bos_token_id": 1, "eos_token_id": 2, "num_hidden_layers": 2, "num_attention_heads": 4}
CHECKPOINTS = {
    # The old key `type`; every sample but the shortest is past max_position_embeddings.
    "llama-dynamic-rope": {**COMMON, "torch_dtype": "float32", "hidden_size": 32, "intermediate_size": 48, "num_key_value_heads": 2, "head_dim": 16,
                           "max_position_embeddings": 512, "tie_word_embeddings": True, "attention_bias": False, "mlp_bias": False,
                           "rope_theta": 10000.0, "rope_scaling": {"type": "dynamic", "factor": 4.0}},
    # As transformers 5 writes it: `dtype`, and `rope_parameters` with the base inside.
    "llama-yarn": {**COMMON, "dtype": "float32", "hidden_size": 32, "intermediate_size": 48, "num_key_value_heads": 2, "head_dim": 16,
                   "max_position_embeddings": 2048, "tie_word_embeddings": False, "attention_bias": False, "mlp_bias": False,
                   "rope_parameters": {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 512}},
    # No rope keys at all (base 10,000), heads of 20 where hidden/heads is 12, and biases that are not zero.
    "llama-mlp-bias": {**COMMON, "torch_dtype": "float32", "hidden_size": 48, "intermediate_size": 56, "num_key_value_heads": 2, "head_dim": 20,
                       "max_position_embeddings": 2048, "tie_word_embeddings": True, "attention_bias": True, "mlp_bias": True},
}
# Untied and tied heads; each checkpoint with the text and its positions whose losses are kept, the first and the last
# among them.
LOSSES = {"llama-gqa": ("random-700", [1, 2, 3, 64, 65, 250, 251, 500, 698, 699]),
          "llama-gqa-tied-llama3rope": ("motif-1024", [1, 2, 128, 129, 511, 512, 513, 900, 1022, 1023]),
          "llama-yarn": ("random-700", [1, 333, 699]), "llama-mlp-bias": ("random-700", [1, 333, 699]),
          **{name: ("random-700", [1, 333, 699]) for name in FAMILIES}}
LOSSES_FILE = "losses.json"
HALVES = {"bf16": torch.bfloat16, "f16": torch.float16}


def weights(config, seed):
    """Random tensors of a Llama: queries and keys wide enough (1.6/sqrt(hidden)) that attention is far from uniform."""
    rng = np.random.Generator(np.random.PCG64(seed))
    hidden, inner, dim = config["hidden_size"], config["intermediate_size"], config["head_dim"]
    q, kv = config["num_attention_heads"] * dim, config["num_key_value_heads"] * dim
    tensors = {}

    def add(name, shape, std, centre=0.0):
        tensors[name] = torch.from_numpy((centre + std * rng.standard_normal(shape)).astype(np.float32))

    def linear(name, out, inp, gain, bias):
        add(f"{name}.weight", (out, inp), gain / math.sqrt(inp))
        if bias:
            add(f"{name}.bias", (out,), 0.3)

    add("model.embed_tokens.weight", (config["vocab_size"], hidden), 1.0)
    for layer in range(config["num_hidden_layers"]):
        at = f"model.layers.{layer}"
        add(f"{at}.input_layernorm.weight", (hidden,), 0.1, 1.0)
        add(f"{at}.post_attention_layernorm.weight", (hidden,), 0.1, 1.0)
        for name, out, inp, gain in [("q", q, hidden, 1.6), ("k", kv, hidden, 1.6), ("v", kv, hidden, 1.0), ("o", hidden, q, 1.0)]:
            linear(f"{at}.self_attn.{name}_proj", out, inp, gain, config["attention_bias"])
        for name, out, inp in [("gate", inner, hidden), ("up", inner, hidden), ("down", hidden, inner)]:
            linear(f"{at}.mlp.{name}_proj", out, inp, 1.0, config["mlp_bias"])
    add("model.norm.weight", (hidden,), 0.1, 1.0)
    if not config["tie_word_embeddings"]:
        add("lm_head.weight", (config["vocab_size"], hidden), 1 / math.sqrt(hidden))
    return tensors


def write_json(path, value, **options):
    path.write_text(json.dumps(value, **options) + "\n")


def write_checkpoint(name, config, tensors, shards=1):
    folder = DATA / name
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", config, indent=2)
    if shards == 1:
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        return
    names = sorted(tensors)
    weight_map = {}
    for shard in range(shards):
        file = f"model-{shard + 1:05d}-of-{shards:05d}.safetensors"
        part = names[shard * len(names) // shards : (shard + 1) * len(names) // shards]
        save_file({n: tensors[n] for n in part}, folder / file, metadata={"format": "pt"})
        weight_map.update(dict.fromkeys(part, file))
    size = sum(t.numel() * t.element_size() for t in tensors.values())
    write_json(folder / "model.safetensors.index.json", {"metadata": {"total_size": size}, "weight_map": weight_map}, indent=2)


def write_checkpoints():
    for seed, (name, config) in enumerate(CHECKPOINTS.items(), start=11):
        tensors = weights(config, seed)
        write_checkpoint(name, config, tensors)
        if name == "llama-yarn":
            write_checkpoint(f"{name}-sharded", config, tensors, shards=2)
        if name == "llama-mlp-bias":
            for suffix, dtype in HALVES.items():
                halved = {n: t.to(dtype) for n, t in tensors.items()}
                write_checkpoint(f"{name}-{suffix}", {**config, "torch_dtype": str(dtype).removeprefix("torch.")}, halved)


def write_families():
    for seed, name in enumerate(FAMILIES, start=41):
        folder = DATA / name
        folder.mkdir(parents=True, exist_ok=True)
        make(folder, name, seed)


def nine_digits(value):
    """Rounds the pair scores, which are most of a file, to nine significant digits."""
    if isinstance(value, float):
        return float(f"{value:.9g}")
    if isinstance(value, list):
        return [nine_digits(v) for v in value]
    if isinstance(value, dict):
        return {k: nine_digits(v) for k, v in value.items()}
    return value


def golden(checkpoint, cases, st, keep_heads=False):
    """cases: [(id, length)]; the first `length` ids of the text with that id."""
    samples = []
    for sample_id, length in cases:
        sample = score(DATA / checkpoint, sample_id, IDS[sample_id][:length], st, keep_heads)
        samples.append({k: nine_digits(v) if k in ("pfs", "heads") else v for k, v in sample.items()})
    head = {"model": checkpoint, "definition": st.definition, "attn_chunk_size": st.chunk, "d_afs": st.d_afs, "d_cds": st.d_cds}
    if st.definition == "paper":
        head |= {"m": st.m, "n": st.n, "n0": st.n0}
    if st.pairs != "attention":
        head |= {"pairs": st.pairs}
    if st.window is not None:
        head |= {"attention": f"window:{st.window}+sink:{st.sink}"}
    return {**head, "made_by": MADE_BY, "samples": samples}


def file_name(checkpoint, st, kind=""):
    return f"{checkpoint}.{kind}chunk{st.chunk}-d_afs{st.d_afs}-d_cds{st.d_cds}.json"


def planned():
    """Every file that the oracle alone makes: (name, checkpoint, cases, settings, heads apart)."""
    reference, paper = Settings(**SMALL_SPANS), Settings("paper", **SMALL_SPANS)
    every = [(i, len(ids)) for i, ids in IDS.items()]
    for name in CHECKPOINTS:
        shorter = [("random-700", 400)] if name == "llama-dynamic-rope" else []
        yield file_name(name, reference), name, every + shorter, reference, False
    for suffix in HALVES:
        name = f"llama-mlp-bias-{suffix}"
        yield file_name(name, reference), name, [("random-700", 700)], reference, False
    for name in ("llama-mha", "llama-gqa"):
        yield file_name(name, paper, "paper."), name, every, paper, False
    for name in ("llama-gqa", "llama-mlp-bias"):
        windowed = Settings(**SMALL_SPANS, window=60, sink=7)
        yield file_name(name, windowed, "window60-sink7."), name, every, windowed, False
    for pairs in ("contribution:head", "contribution:layer"):
        kind = f"{pairs.replace(':', '-')}."
        weighed = Settings(**SMALL_SPANS, pairs=pairs)
        for name in [*PUBLISHED, *CHECKPOINTS, *(f"llama-mlp-bias-{suffix}" for suffix in HALVES)]:
            yield file_name(name, weighed, kind), name, [("random-700", 700), ("motif-1024", 1024)], weighed, False
        paper_weighed = Settings("paper", **SMALL_SPANS, pairs=pairs)
        yield file_name("llama-gqa", paper_weighed, f"paper.{kind}"), "llama-gqa", [("random-700", 700)], paper_weighed, False
        windowed = Settings(**SMALL_SPANS, window=60, sink=7, pairs=pairs)
        yield file_name("llama-mlp-bias", windowed, f"window60-sink7.{kind}"), "llama-mlp-bias", [("random-700", 700)], windowed, False
        yield file_name("llama-gqa", weighed, f"{kind}heads."), "llama-gqa", [("random-700", 400)], weighed, True
    for name in FAMILIES:
        yield file_name(name, reference), name, [("random-700", 700), ("motif-1024", 1024)], reference, False
        for pairs in ("contribution:head", "contribution:layer"):
            kind = f"{pairs.replace(':', '-')}."
            yield file_name(name, reference, kind), name, [("random-700", 700)], Settings(**SMALL_SPANS, pairs=pairs), False
    yield file_name("llama-gqa", reference, "heads."), "llama-gqa", [("random-700", 700)], reference, True
    yield file_name("llama-gqa", paper, "paper.heads."), "llama-gqa", [("random-700", 400)], paper, True


def golden_losses():
    samples = []
    for name, (sample_id, positions) in LOSSES.items():
        losses = {kind: token_losses(DATA / name, IDS[sample_id], positions, with_norm) for kind, with_norm in (("losses", True), ("without_norm", False))}
        samples.append({"model": name, "id": sample_id, "length": len(IDS[sample_id]), "positions": positions, **nine_digits(losses)})
    return {"made_by": MADE_BY.replace("pair scores", "losses"), "samples": samples}


def worst_difference(got, want, of_largest=False, scale=0.0):
    """The largest relative difference between two trees of the same form; infinite where the forms differ. With
    `of_largest`, numbers of one list are held against the largest of them: contributions cross zero."""
    if isinstance(want, dict):
        if not isinstance(got, dict):
            return math.inf
        return max((worst_difference(got.get(k), v, of_largest) for k, v in want.items()), default=0.0)
    if isinstance(want, list):
        if not isinstance(got, list) or len(got) != len(want):
            return math.inf
        largest = max((abs(w) for w in want if isinstance(w, float)), default=0.0) if of_largest else 0.0
        return max((worst_difference(g, w, of_largest, largest) for g, w in zip(got, want)), default=0.0)
    if isinstance(want, float) and isinstance(got, float):
        return abs(got - want) / max(abs(want), scale, 1e-300)
    return 0.0 if got == want else math.inf


def check_published(path):
    """The oracle against a file with the published code's scores; returns the two largest relative differences."""
    want = json.loads(path.read_text())
    st = Settings(chunk=want["attn_chunk_size"], d_afs=want["d_afs"], d_cds=want["d_cds"])
    ours = published = 0.0
    for sample in want["samples"]:
        got = score(DATA / want["model"], sample["id"], IDS[sample["id"]][: sample["length"]], st)
        theirs = {k.removeprefix("published_"): v for k, v in sample.items() if k.startswith("published_")}
        own = {k: v for k, v in sample.items() if not k.startswith("published_")}
        published = max(published, worst_difference(got, theirs))
        ours = max(ours, worst_difference(got, own))
    return ours, published


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--check", action="store_true", help="write nothing; compare with what is there")
    ap.add_argument("--only", help="what names of checkpoints begin with")
    a = ap.parse_args()
    if not a.check:
        write_checkpoints()
        write_families()
    worst = 0.0
    for name, checkpoint, cases, st, keep_heads in planned():
        if a.only is not None and not checkpoint.startswith(a.only):
            continue
        value = golden(checkpoint, cases, st, keep_heads)
        if a.check:
            want = json.loads((DATA / name).read_text())
            difference = worst_difference(value["samples"], want["samples"], of_largest=st.pairs != "attention")
            worst = max(worst, difference)
            print(f"{name}: {difference:.1e}")
        else:
            write_json(DATA / name, value, separators=(",", ":"))
            print(name, [s["cds"] for s in value["samples"]], flush=True)
    losses = golden_losses()
    if a.check:
        difference = worst_difference(losses["samples"], json.loads((DATA / LOSSES_FILE).read_text())["samples"])
        worst = max(worst, difference)
        print(f"{LOSSES_FILE}: {difference:.1e}")
    else:
        write_json(DATA / LOSSES_FILE, losses, separators=(",", ":"))
    for checkpoint in PUBLISHED:
        for path in sorted(DATA.glob(f"{checkpoint}.chunk*.json")):
            ours, published = check_published(path)
            worst = max(worst, ours, published)
            print(f"{path.name}: {ours:.1e} from the stored oracle numbers, {published:.1e} from the published code")
    if worst > 1e-5:
        raise SystemExit(f"largest relative difference {worst:.1e}; allowed: 1e-5")


IDS = {s["id"]: s["ids"] for s in json.loads((DATA / "ids.json").read_text())}

if __name__ == "__main__":
    main()
