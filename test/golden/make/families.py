"""Tiny checkpoints of every family, of random weights, each with what sets the family apart."""
import math

import numpy as np
import torch
from transformers import AutoConfig, AutoModelForCausalLM

COMMON = {"vocab_size": 256, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4,
          "num_key_value_heads": 2, "max_position_embeddings": 2048, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
WINDOW = 96
GEMMA = {"head_dim": 16, "query_pre_attn_scalar": 24, "sliding_window": WINDOW, "num_hidden_layers": 4}

# What `config.json` holds besides; the keys of each family are written as its published checkpoints have them.
FAMILIES = {
    "mistral": {"model_type": "mistral", "head_dim": 16, "sliding_window": None, "rope_theta": 1e6},
    "mistral-window": {"model_type": "mistral", "head_dim": 16, "sliding_window": 2048},
    "qwen2": {"model_type": "qwen2", "use_sliding_window": False, "sliding_window": 64, "max_window_layers": 1, "rope_theta": 1e6},
    "qwen2-window": {"model_type": "qwen2", "use_sliding_window": True, "sliding_window": WINDOW, "max_window_layers": 2},
    "qwen3": {"model_type": "qwen3", "head_dim": 16, "rope_theta": 1e6, "tie_word_embeddings": True},
    "smollm3": {"model_type": "smollm3", "num_hidden_layers": 5, "no_rope_layer_interval": 4},
    "olmo2": {"model_type": "olmo2", "rope_theta": 5e5},
    "olmo3": {"model_type": "olmo3", "num_hidden_layers": 4, "sliding_window": WINDOW, "rope_theta": 5e5,
              "rope_scaling": {"rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 256, "beta_fast": 32.0, "beta_slow": 1.0, "attention_factor": 1.2}},
    "phi3": {"model_type": "phi3", "original_max_position_embeddings": 2048, "partial_rotary_factor": 0.75, "sliding_window": None},
    "granite": {"model_type": "granite", "embedding_multiplier": 12.0, "attention_multiplier": 0.2, "residual_multiplier": 0.22, "logits_scaling": 8.0,
                "attention_bias": True},
    "gemma2": {**GEMMA, "model_type": "gemma2", "attn_logit_softcapping": 5.0, "final_logit_softcapping": 3.0},
    "gemma3": {**GEMMA, "model_type": "gemma3_text", "sliding_window_pattern": 2, "rope_theta": 1e6, "rope_local_base_freq": 100.0,
               "rope_scaling": {"rope_type": "linear", "factor": 8.0}},
    "phi3-longrope": {"model_type": "phi3", "max_position_embeddings": 2048, "original_max_position_embeddings": 512, "sliding_window": None,
                      "rope_scaling": {"type": "longrope", "short_factor": [1.0, 1.1, 1.2, 1.3], "long_factor": [1.0, 2.0, 3.5, 6.0]}},
    "starcoder2": {"model_type": "starcoder2", "sliding_window": 2048, "use_bias": True, "rope_theta": 1e5},
    "gpt-neox": {"model_type": "gpt_neox", "num_key_value_heads": None, "rotary_pct": 0.5, "rotary_emb_base": 1000, "use_parallel_residual": True},
    "gpt-neox-serial": {"model_type": "gpt_neox", "num_key_value_heads": None, "rotary_pct": 0.25, "use_parallel_residual": False,
                        "tie_word_embeddings": False},
}


def weights(model, seed):
    """Queries and keys wide enough that attention is far from uniform; norms and biases that are not neutral."""
    rng = np.random.Generator(np.random.PCG64(seed))
    for name, parameter in sorted(model.named_parameters()):
        shape = tuple(parameter.shape)
        draw = torch.from_numpy(rng.standard_normal(shape).astype(np.float32))
        if name.endswith("bias"):
            value = 0.3 * draw
        elif len(shape) == 1:
            offset = parameter.detach().mean().round().item()
            value = offset + 0.1 * draw
        elif "embed_tokens" in name or "embed_in" in name:
            value = draw
        else:
            gain = 1.6 if any(part in name for part in ("q_proj", "k_proj", "qkv_proj", "query_key_value")) else 1.0
            value = gain / math.sqrt(shape[1]) * draw
        parameter.data.copy_(value)
    return model


def make(folder, name, seed):
    """Writes `config.json` as given, and the weights as transformers saves them."""
    import json

    given = {key: value for key, value in {**COMMON, **FAMILIES[name]}.items() if value is not None or key == "sliding_window"}
    config = AutoConfig.for_model(given["model_type"], **{k: v for k, v in given.items() if k != "model_type"})
    model = weights(AutoModelForCausalLM.from_config(config, dtype=torch.float32), seed)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    (folder / "config.json").write_text(json.dumps({**given, "dtype": "float32"}, indent=2) + "\n")
