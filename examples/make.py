#!/usr/bin/env python3
"""Makes tiny-llama/ and documents.jsonl again, byte for byte: python3 examples/make.py (needs numpy and safetensors).

tiny-llama/ is a Llama with seeded random weights: it shows the mechanics and knows nothing. documents.jsonl holds
twelve documents in three groups; two of them are shorter than a window of 2,048 tokens.
"""
import json
import math
import random
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from texts import GLOSSARIES, STORIES

HERE = Path(__file__).resolve().parent
CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "torch_dtype": "float32", "hidden_act": "silu",
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8,
    "vocab_size": 257, "max_position_embeddings": 4096, "rms_norm_eps": 1e-05, "rope_theta": 10000.0, "rope_scaling": None,
    "attention_bias": False, "mlp_bias": False, "tie_word_embeddings": True, "bos_token_id": 256, "eos_token_id": None, "pad_token_id": None,
}


def weights(config, seed):
    """Queries and keys are wide enough (2/sqrt(hidden)) that attention is far from uniform."""
    rng = np.random.Generator(np.random.PCG64(seed))
    hidden, inner, dim = config["hidden_size"], config["intermediate_size"], config["head_dim"]
    q, kv = config["num_attention_heads"] * dim, config["num_key_value_heads"] * dim
    tensors = {}

    def add(name, shape, std, centre=0.0):
        tensors[f"model.{name}.weight"] = (centre + std * rng.standard_normal(shape)).astype(np.float32)

    add("embed_tokens", (config["vocab_size"], hidden), 1.0)
    for layer in range(config["num_hidden_layers"]):
        at = f"layers.{layer}"
        add(f"{at}.input_layernorm", (hidden,), 0.1, 1.0)
        add(f"{at}.post_attention_layernorm", (hidden,), 0.1, 1.0)
        for name, out, inp, gain in [("q", q, hidden, 2.0), ("k", kv, hidden, 2.0), ("v", kv, hidden, 1.0), ("o", hidden, q, 1.0)]:
            add(f"{at}.self_attn.{name}_proj", (out, inp), gain / math.sqrt(inp))
        for name, out, inp in [("gate", inner, hidden), ("up", inner, hidden), ("down", hidden, inner)]:
            add(f"{at}.mlp.{name}_proj", (out, inp), 1 / math.sqrt(inp))
    add("norm", (hidden,), 0.1, 1.0)
    return tensors


def byte_characters():
    """The printable character by which byte-level BPE writes each byte (GPT-2's table)."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    table, extra = {b: chr(b) for b in printable}, 0
    for byte in range(256):
        if byte not in table:
            table[byte] = chr(256 + extra)
            extra += 1
    return table


def tokenizer():
    """One token a byte, its id the byte's value, and `<s>` (256) put before every text."""
    vocab = {character: byte for byte, character in sorted(byte_characters().items())}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    bos = {"SpecialToken": {"id": "<s>", "type_id": 0}}
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [{"id": 256, "content": "<s>", "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}],
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [bos, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [bos, {"Sequence": {"id": "A", "type_id": 0}}, bos, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [256], "tokens": ["<s>"]}},
        },
        "decoder": byte_level,
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
                  "fuse_unk": False, "byte_fallback": False, "ignore_merges": False, "vocab": {**vocab, "<s>": 256}, "merges": []},
    }


def parts_list(rng):
    kinds = ["bracket", "bushing", "clamp", "cotter", "flange", "gasket", "hinge", "latch", "pulley", "rivet", "spacer", "washer"]
    metals = ["brass", "bronze", "cast iron", "mild steel", "spring steel", "zinc"]
    lines = ["Parts list, store room B", ""]
    for number in range(1, 61):
        size = f"{rng.randrange(4, 80)} x {rng.randrange(4, 80)} mm"
        lines.append(f"B-{number:03d}  {rng.choice(kinds)}, {rng.choice(metals)}, {size}, {rng.randrange(2, 900)} g, shelf {rng.choice('ACDFG')}{rng.randrange(1, 19)}")
    return "\n".join(lines) + "\n"


def seed_list(rng):
    plants = ["beet", "borage", "carrot", "celeriac", "chard", "chive", "cress", "dill", "endive", "fennel", "kale", "leek", "lovage", "marigold"]
    lines = ["Seeds in stock", ""]
    for plant in plants:
        sown = rng.choice(["under glass", "in rows", "broadcast", "in pots"])
        lines.append(f"{plant}: sow {sown}, {rng.randrange(1, 5)} cm deep, {rng.randrange(10, 60)} cm apart, up in {rng.randrange(5, 28)} days, packet of {rng.randrange(2, 40)} g.")
    return "\n".join(lines) + "\n"


def log(rng, title, start_hour, minutes, entries, events):
    """Lines with a running clock; `events(rng, number)` gives the text of one."""
    lines, clock = [title, ""], start_hour * 60
    for number in range(1, entries + 1):
        clock += rng.randrange(*minutes)
        lines.append(f"{clock // 60 % 24:02d}:{clock % 60:02d}  {events(rng, number)}")
    return "\n".join(lines) + "\n"


def harbour_event(rng, number):
    ship = rng.choice(["Alma", "Corvina", "Duif", "Grey Heron", "Marigold", "Noordster", "Petrel", "Two Brothers"])
    what = rng.choice(["asks for berth {b}", "made fast at berth {b}", "cast off from berth {b}", "waits in the roads", "takes water at berth {b}", "reports a fouled anchor", "lands {n} crates"])
    return f"{ship} " + what.format(b=rng.randrange(1, 10), n=rng.randrange(3, 160))


def greenhouse_event(rng, number):
    house = rng.choice(["east house", "west house", "palm house", "cold frame"])
    return f"{house}: {rng.randrange(9, 34)}.{rng.randrange(10)} C, humidity {rng.randrange(38, 97)}%, vents {rng.choice(['shut', 'one third', 'half', 'open'])}"


def backup_event(rng, number):
    job = f"job {rng.randrange(100, 140)}"
    return rng.choice([
        f"{job} started on node {rng.choice(['ash', 'birch', 'cedar', 'rowan'])}",
        f"{job} copied {rng.randrange(12, 9000)} files, {rng.randrange(1, 700)} MB",
        f"{job} waits for tape {rng.randrange(1, 25):02d}",
        f"{job} finished, checksum {rng.getrandbits(32):08x}",
        f"{job} retried after a timeout of {rng.randrange(5, 90)} s",
    ])


def desk_event(rng, number):
    book = rng.choice(["Tides and Tables", "The Salt Road", "A Field of Numbers", "Birds of the Aune", "Letters from Stell", "How Wheels Are Cut"])
    return f"card {rng.randrange(1000, 1400)} {rng.choice(['borrows', 'returns', 'renews', 'asks for'])} “{book}”, copy {rng.randrange(1, 5)}"


def documents():
    rng = random.Random(20)
    slug = lambda title: "-".join(title.lower().replace("'", "").replace(",", "").split())
    for title, text in STORIES.items():
        yield slug(title), "stories", f"{title}\n\n{text}"
    for title, entries in GLOSSARIES.items():
        yield slug(title), "lists", f"{title}\n\n" + "".join(f"{word}: {meaning}.\n" for word, meaning in entries)
    yield "parts-list", "lists", parts_list(rng)
    yield "seed-list", "lists", seed_list(rng)
    yield "harbour-log", "logs", log(rng, "Harbour log, Hollow Quay", 4, (3, 20), 90, harbour_event)
    yield "greenhouse-log", "logs", log(rng, "Greenhouse readings", 0, (20, 41), 75, greenhouse_event)
    yield "backup-log", "logs", log(rng, "Backup server, nightly run", 22, (1, 6), 80, backup_event)
    yield "library-desk", "logs", log(rng, "Issue desk, Saturday", 9, (4, 16), 28, desk_event)


def main():
    model = HERE / "tiny-llama"
    model.mkdir(exist_ok=True)
    (model / "config.json").write_text(json.dumps(CONFIG, indent=2) + "\n")
    (model / "tokenizer.json").write_text(json.dumps(tokenizer(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    save_file(weights(CONFIG, 3), model / "model.safetensors", metadata={"format": "pt"})
    (model / "model.safetensors").chmod(0o644)
    rows = [{"id": name, "text": text, "meta": {"domain": domain}} for name, domain, text in documents()]
    random.Random(1).shuffle(rows)
    (HERE / "documents.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    main()
