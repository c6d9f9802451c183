"""What a step needs of each GPU, by arithmetic. Nothing here was held against a GPU."""

from dataclasses import dataclass, fields

import torch
from transformers import AutoModelForCausalLM, PretrainedConfig

FLOAT32, BFLOAT16 = 4, 2


@dataclass(frozen=True)
class Memory:
    """Bytes on one GPU."""

    weights: int
    """float32, sharded over the GPUs."""
    gradients: int
    optimizer: int
    """Adam's two moments, float32."""
    gathered: int
    """Weights whole while they are used: two layers (one is fetched ahead), embeddings and head. 0 on one GPU."""
    activations: int
    """The input of every layer, and all of one layer while it is computed again."""
    logits: int
    """One chunk: in the model's type, in float32, and its gradient."""

    @property
    def total(self) -> int:
        return sum(getattr(self, field.name) for field in fields(self))


def empty_decoder(config: PretrainedConfig) -> torch.nn.Module:
    """The decoder without a byte of weights, for its shapes."""
    with torch.device("meta"):
        model: torch.nn.Module = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    return model


def count_parameters(model: torch.nn.Module) -> int:
    """Tied weights count once."""
    return sum(parameter.numel() for parameter in model.parameters())


def estimate_memory(
    config: PretrainedConfig,
    model: torch.nn.Module,
    *,
    gpus: int,
    micro_batch: int,
    length: int,
    chunk: int,
    bfloat16: bool,
) -> Memory:
    """Per GPU under full sharding (FSDP), with gradient checkpointing, for attention without a T x T matrix."""
    text = config.get_text_config()
    parameters = count_parameters(model)
    computed = BFLOAT16 if bfloat16 else FLOAT32
    names = set(getattr(model, "_no_split_modules", None) or [])
    layers = [count_parameters(module) for module in model.modules() if type(module).__name__ in names]
    outside = parameters - sum(layers)
    tokens = micro_batch * min(length, text.max_position_embeddings)
    heads = text.num_attention_heads
    head_size = getattr(text, "head_dim", None) or text.hidden_size // heads
    keys = getattr(text, "num_key_value_heads", None) or heads
    inner = getattr(text, "intermediate_size", None) or 4 * text.hidden_size
    # One layer: residuals, norms and projections in and out; queries, keys and values before and after rotation;
    # gate, up, their product and its gradient.
    one_layer = 8 * text.hidden_size + 2 * (heads + 2 * keys) * head_size + 4 * inner
    kept = text.num_hidden_layers * tokens * text.hidden_size * computed
    return Memory(
        weights=FLOAT32 * parameters // gpus,
        gradients=FLOAT32 * parameters // gpus,
        optimizer=2 * FLOAT32 * parameters // gpus,
        gathered=0 if gpus == 1 else computed * (2 * max(layers, default=0) + outside),
        activations=kept + 2 * tokens * one_layer * computed,
        logits=min(chunk, tokens) * text.vocab_size * (computed + 2 * FLOAT32),
    )
