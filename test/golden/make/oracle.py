#!/usr/bin/env python3
"""Pair scores (PFS) and CDS of any decoder in Hugging Face transformers.

Plain loops in float64, to hold faster code against.

An attention function sees the rotated queries and keys of every layer, notes the pair scores in float64 and goes on
with ordinary attention. Both definitions (span length C, interval I = C*d_afs, stride S = C*d_cds, L tokens):

reference   what the published code computes (ZNLP/LADM, commit 853d7c1). Query spans start at s = L-C, L-C-S, … while
            s > C + 4*I. Keys are the tokens strictly before the span: softmax over [0, s). Key spans start at s - k*I,
            k = 1, 2, … while s - k*I >= C. CDS of a layer = mean over s of
            sigma(s) * (s/L) * sum over k of (k*I/L) * PFS(s, k).
paper       the equations of LADM (ACL 2025). Spans 0 … N-1, N = floor(L/C): the last L - N*C tokens lie in no span
            and are left out (no earlier token sees them). Query spans j = N-1, N-1-d_cds, … >= n0. Keys are the spans
            0 … j, its own included, causal inside it. Key spans i = m, m+d_afs, … <= j-n-1. CDS of a layer = sum over
            j of sigma(j) * (j/N) * sum over i of ((j-i)/N) * PFS(i, j).

PFS of contributions (`pairs`), ours: attention times what the key's value adds to a direction of the row's own output
in the ordinary causal pass. `contribution:head`: c = A[r,t] * (v_t . o_r/|o_r|), o_r the head's output.
`contribution:layer`: c = A[r,t] * (v_t . u_r), u_r = (W_O^h)^T y_r/|y_r|, y_r the attention block's output before the
residual, bias included.

With `window` the model's own attention is in blocks; the pair scores look at all tokens before as ever.

Both: PFS = attention from all C queries of the span to all C keys of the key span, mean over heads; sigma = sample
standard deviation (n-1) of the PFS of one query span; CDS = mean over layers. `no_std` drops sigma, `no_len_weight`
both distance weights.

    oracle.py MODEL_DIR IDS.json OUT.json [--definition paper] [--chunk 16 --d-afs 2 --d-cds 2] [--heads]
"""
import argparse
import json
import math
from dataclasses import dataclass

import torch
from transformers import AutoModel, AutoModelForCausalLM
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.utils import logging

logging.set_verbosity_error()
logging.disable_progress_bar()

PAIRS = ("attention", "contribution:head", "contribution:layer")
ABLATIONS = ("", "_no_std", "_no_len_weight")


@dataclass(frozen=True)
class Settings:
    definition: str = "reference"
    chunk: int = 128
    d_afs: int = 4
    d_cds: int = 4
    m: int = 1
    n: int = 4
    n0: int = 16
    window: int | None = None
    """Attention of the model itself, not of the pair scores: its own block of so many tokens, the block before, and
    the first `sink`."""
    sink: int = 0
    pairs: str = "attention"


def grid(length, st):
    """[(first token of the query span, [first token of each key span])], in the order of the definition's sum."""
    c = st.chunk
    if st.definition == "paper":
        last = length // c - 1
        return [(j * c, [i * c for i in range(st.m, j - st.n, st.d_afs)]) for j in range(last, st.n0 - 1, -st.d_cds)]
    interval = c * st.d_afs
    starts = range(length - c, c + 4 * interval, -c * st.d_cds)
    return [(s, list(range(s - interval, c - 1, -interval))) for s in starts]


def capped(logits, softcap):
    return logits if softcap is None else softcap * torch.tanh(logits / softcap)


def attention_rows(query, key, s, logit, st):
    """query [C, D] of the span that starts at s, key [L, D] -> [C, keys]: each row's attention, float64. `logit` is
    (scale, softcap)."""
    c = st.chunk
    end = s + c if st.definition == "paper" else s
    scale, softcap = logit
    logits = capped(query.double() @ key[:end].double().T * scale, softcap)
    if st.definition == "paper":
        own = torch.ones(c, c, dtype=torch.bool).tril()
        logits[:, s:] = logits[:, s:].masked_fill(~own, -math.inf)
    return logits.softmax(-1)


def span_attention(query, key, s, logit, st):
    """query [C, D] of the span that starts at s, key [L, D] -> [keys]: attention summed over its queries, float64."""
    return attention_rows(query, key, s, logit, st).sum(0)


def unit(rows):
    return rows / rows.norm(dim=-1, keepdim=True)


def head_directions(output):
    """output [H, L, D] of the heads in the causal pass -> [H, L, D]."""
    return unit(output.double())


def layer_directions(output, projection):
    """What each head adds to the direction of the block's output: [H, L, D]."""
    heads, length, dim = output.shape
    matrix = projection.weight.double()
    block = output.double().transpose(0, 1).reshape(length, heads * dim) @ matrix.T
    if projection.bias is not None:
        block = block + projection.bias.double()
    return (unit(block) @ matrix).reshape(length, heads, dim).transpose(0, 1)


def directions(output, projection, pairs):
    if pairs == "attention":
        return None
    return head_directions(output) if pairs == "contribution:head" else layer_directions(output, projection)


def span_contribution(query, key, value, direction, s, logit, st):
    """As `span_attention`, each attention times the key's value along the row's direction [C, D]."""
    attention = attention_rows(query, key, s, logit, st)
    worth = direction @ value[: attention.shape[1]].double().T
    return (attention * worth).sum(0)


def pair_scores(query, key, value, direction, logit, st):
    """query, direction [H, L, D], key, value [KV, L, D] -> [{"query": s, "heads": [[PFS of each key span] of each
    head]}]. Without a direction attention alone counts."""
    heads, length, _ = query.shape
    groups = heads // key.shape[0]
    rows = []
    for s, keys in grid(length, st):
        of_heads = []
        for h in range(heads):
            span = slice(s, s + st.chunk)
            if direction is None:
                w = span_attention(query[h, span], key[h // groups], s, logit, st)
            else:
                k_h, v_h = key[h // groups], value[h // groups]
                w = span_contribution(query[h, span], k_h, v_h, direction[h, span], s, logit, st)
            of_heads.append([w[k : k + st.chunk].sum().item() for k in keys])
        rows.append({"query": s, "heads": of_heads})
    return rows


def block_mask(length, window, sink):
    """[L, L], true where the query of the row sees the key of the column."""
    query, key = torch.arange(length)[:, None], torch.arange(length)[None]
    near = (query // window - key // window) <= 1
    return (key <= query) & (near | (key < sink))


def mean(values):
    return sum(values) / len(values)


def layer_cds(rows, length, st, ablation):
    """rows [{"query", "pfs"}] -> CDS of the layer; None where the sample is too short for a query span."""
    whole = length // st.chunk * st.chunk if st.definition == "paper" else length
    afs = []
    for (s, keys), row in zip(grid(length, st), rows, strict=True):
        weight = [1.0 if ablation == "_no_len_weight" else (s - k) / whole for k in keys]
        value = sum(w * p for w, p in zip(weight, row["pfs"], strict=True))
        if ablation != "_no_std":
            average = mean(row["pfs"])
            value *= math.sqrt(sum((p - average) ** 2 for p in row["pfs"]) / (len(keys) - 1))
        if ablation != "_no_len_weight":
            value *= s / whole
        afs.append(value)
    if not afs:
        return None
    return sum(afs) if st.definition == "paper" else mean(afs)


def eager_attention(query, key, value, attention_mask, scaling, softcap):
    """What `sdpa` does, with a softcap, which it leaves out. [1, H, L, D] -> [1, L, H, D]."""
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    length = query.shape[2]
    seen = torch.ones(length, length, dtype=torch.bool).tril() if attention_mask is None else attention_mask
    logits = capped(query @ key.transpose(2, 3) * scaling, softcap)
    return (logits.masked_fill(~seen, -math.inf).softmax(-1) @ value).transpose(1, 2)


def observed_layers(model_dir, ids, st):
    """The rows of `pair_scores` of every layer that sees the whole sample. The model is read again for each sample: the
    dynamic rotary embedding of transformers keeps the frequencies of the longest text it has seen, and a score must not
    depend on the sample before."""
    seen = {}

    def attention(module, query, key, value, attention_mask, scaling=None, softcap=None, sliding_window=None, **rest):
        if st.window is not None:
            attention_mask = block_mask(query.shape[2], st.window, st.sink)[None, None]
        if softcap is None:
            output, weights = sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **rest)
        else:
            output, weights = eager_attention(query, key, value, attention_mask, scaling, softcap), None
        if sliding_window is None or sliding_window >= query.shape[2]:
            projection = module.o_proj if hasattr(module, "o_proj") else module.dense
            direction = directions(output[0].transpose(0, 1), projection, st.pairs)
            seen[module.layer_idx] = pair_scores(query[0], key[0], value[0], direction, (scaling, softcap), st)
        return output, weights

    ALL_ATTENTION_FUNCTIONS.register("observed", attention)
    ALL_MASK_ATTENTION_FUNCTIONS.register("observed", ALL_MASK_ATTENTION_FUNCTIONS["sdpa"])
    model = AutoModel.from_pretrained(model_dir, dtype=torch.float32, attn_implementation="observed").eval()
    with torch.inference_mode():
        model(torch.tensor([ids]), use_cache=False)
    return [seen[layer] for layer in sorted(seen)]


def score(model_dir, sample_id, ids, st, keep_heads=False):
    """One sample -> id, length, cds, layers, both ablations of each, and `pfs` (or `heads`) of every layer."""
    layers = observed_layers(model_dir, ids, st)
    pfs = [[{"query": r["query"], "pfs": [mean(p) for p in zip(*r["heads"])]} for r in rows] for rows in layers]
    out = {"id": sample_id, "length": len(ids)}
    for name in ABLATIONS:
        values = [layer_cds(rows, len(ids), st, name) for rows in pfs]
        out["cds" + name] = None if values[0] is None else mean(values)
        out["layers" + name] = values
    out["heads" if keep_heads else "pfs"] = layers if keep_heads else pfs
    return out


def token_losses(model_dir, ids, positions, with_norm=True):
    """Loss in nats of each token of `positions` (1 … L-1) given all before it: log-softmax in float64 of the head's
    float32 logits. `with_norm=False` is the mistake of leaving the norm before the head out."""
    model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32).eval()
    if not with_norm:
        model.model.norm = torch.nn.Identity()
    with torch.inference_mode():
        logits = model(torch.tensor([ids]), use_cache=False).logits[0].double()
    return [-logits[p - 1].log_softmax(-1)[ids[p]].item() for p in positions]


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("model")
    ap.add_argument("ids", help='[{"id": "…", "ids": [0, …]}]')
    ap.add_argument("out")
    ap.add_argument("--definition", choices=["reference", "paper"], default="reference")
    ap.add_argument("--chunk", type=int, default=128)
    ap.add_argument("--d-afs", type=int, default=4)
    ap.add_argument("--d-cds", type=int, default=4)
    ap.add_argument("--pairs", choices=PAIRS, default="attention")
    ap.add_argument("--heads", action="store_true", help="keep heads apart")
    a = ap.parse_args()
    st = Settings(a.definition, a.chunk, a.d_afs, a.d_cds, pairs=a.pairs)
    with open(a.ids) as f:
        samples = json.load(f)
    with open(a.out, "w") as f:
        json.dump([score(a.model, s["id"], s["ids"], st, a.heads) for s in samples], f)


if __name__ == "__main__":
    main()
