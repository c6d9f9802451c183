#!/usr/bin/env python3
"""The published measure in PyTorch: what a run of ours is timed against.

The decoder of `transformers` with its own `sdpa` attention and no LM head. In every layer the tap sees the rotated
queries and keys and does what the published code does: per query span, one batched product of the span's queries with
all keys strictly before it, softmax in float32, sum over the span's rows, mean over heads, and from that the pair
scores (PFS).

    peer.py MODEL_DIR IDS.json --length 8192 [--dtype bfloat16] [--threads 2] [--bare]

IDS.json: [{"id": "…", "ids": [0, …]}]; the first --length of each are read. Prints a JSON line per sample:
{"id", "tokenCount", "seconds", "cds"}; `cds` is null with --bare (the forward pass alone) and for a sample too short
to score.
"""
import argparse
import json
import platform
import time

import torch
import transformers
from transformers import AutoModel
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()


def layer_cds(query, key, scale, chunk, d_afs, d_cds):
    """query [1, H, L, D], key [1, KV, L, D] -> CDS of the layer.

    None where the sample is too short for a query span.
    """
    length = query.shape[2]
    interval, stride = chunk * d_afs, chunk * d_cds
    key = repeat_kv(key, query.shape[1] // key.shape[1])
    scores = []
    for s in range(length - chunk, chunk + 4 * interval, -stride):
        logits = torch.matmul(query[:, :, s : s + chunk], key[:, :, :s].transpose(2, 3)) * scale
        mass = logits.softmax(-1, dtype=torch.float32).sum(2).mean(1)[0]
        count = (s - chunk) // interval
        pfs = mass[s - count * interval : s].view(count, interval)[:, :chunk].sum(1).flip(0)
        distance = torch.arange(1, count + 1) * (interval / length)
        scores.append(pfs.std() * (s / length) * (distance * pfs).sum())
    return torch.stack(scores).mean().item() if scores else None


def load(model_dir, dtype, settings, layers):
    """The decoder without its head; with `settings`, each forward pass appends every layer's CDS to `layers`."""
    name = "sdpa"
    if settings is not None:
        name = "tapped_sdpa"

        def tapped(module, query, key, value, attention_mask, scaling=None, **rest):
            layers.append(layer_cds(query, key, scaling, **settings))
            return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **rest)

        ALL_ATTENTION_FUNCTIONS.register(name, tapped)
        ALL_MASK_ATTENTION_FUNCTIONS.register(name, ALL_MASK_ATTENTION_FUNCTIONS["sdpa"])
    return AutoModel.from_pretrained(model_dir, dtype=dtype, attn_implementation=name).eval()


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("model", nargs="?")
    ap.add_argument("ids", nargs="?")
    ap.add_argument("--length", type=int, default=8192)
    ap.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--chunk", type=int, default=128)
    ap.add_argument("--d-afs", type=int, default=4)
    ap.add_argument("--d-cds", type=int, default=4)
    ap.add_argument("--bare", action="store_true", help="no taps")
    ap.add_argument("--versions", action="store_true", help="print what is installed and stop")
    a = ap.parse_args()
    if a.versions:
        print(json.dumps({"python": platform.python_version(), "torch": torch.__version__, "transformers": transformers.__version__}))
        return
    if a.ids is None:
        ap.error("MODEL_DIR and IDS.json are needed")

    torch.set_num_threads(a.threads)
    layers = []
    settings = None if a.bare else {"chunk": a.chunk, "d_afs": a.d_afs, "d_cds": a.d_cds}
    model = load(a.model, getattr(torch, a.dtype), settings, layers)
    with open(a.ids) as f:
        samples = json.load(f)
    for sample in samples:
        ids = torch.tensor([sample["ids"][: a.length]])
        layers.clear()
        start = time.perf_counter()
        with torch.inference_mode():
            model(ids, use_cache=False)
        seconds = time.perf_counter() - start
        cds = None if not layers or layers[0] is None else sum(layers) / len(layers)
        print(json.dumps({"id": sample["id"], "tokenCount": ids.shape[1], "seconds": round(seconds, 4), "cds": cds}), flush=True)


if __name__ == "__main__":
    main()
