"""A longer window: the rotary base or scaling of a config, and its number of positions."""

from typing import Any

from transformers import PretrainedConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from lac.errors import UserError

PAPER_BASE = 500_000.0
# Rules that compare the new window with the one the checkpoint was trained at.
NEED_ORIGINAL_WINDOW = ("dynamic", "yarn", "longrope", "llama3")


def set_window(
    config: PretrainedConfig, positions: int, *, base: float | None = None, scaling: dict[str, Any] | None = None
) -> None:
    """Sets `max_position_embeddings` and the rotary parameters in place.

    base: the new base; any scaling the checkpoint has stays. Without base and scaling: 500,000, unless the checkpoint's
    base is larger already. scaling: takes the place of the checkpoint's scaling, with its base unless it names one.
    Where layers have parameters by kind (Gemma 3), those of full attention change.
    Raises UserError where there is nothing rotary, or the rule is unknown.
    """
    text = config.get_text_config()
    parameters = getattr(text, "rope_parameters", None)
    if isinstance(parameters, dict) and "full_attention" in parameters:
        parameters = parameters["full_attention"]
    if not isinstance(parameters, dict) or "rope_theta" not in parameters:
        raise UserError(
            "This decoder has no rotary base", where="config.json", got=config.model_type, allowed="a decoder with RoPE"
        )
    own_base = float(parameters["rope_theta"])
    if scaling is not None:
        rule = scaling.get("rope_type", scaling.get("type"))
        if rule not in (*ROPE_INIT_FUNCTIONS, "default"):
            raise UserError(
                "Unknown rope scaling", where="--rope-scaling", got=repr(rule), allowed=", ".join(ROPE_INIT_FUNCTIONS)
            )
        partial = {key: parameters[key] for key in ("partial_rotary_factor",) if key in parameters}
        new = {**partial, "rope_theta": own_base, **scaling, "rope_type": rule}
        new.pop("type", None)
        if rule in NEED_ORIGINAL_WINDOW:
            new.setdefault("original_max_position_embeddings", text.max_position_embeddings)
        parameters.clear()
        parameters.update(new)
    else:
        parameters["rope_theta"] = max(own_base, PAPER_BASE) if base is None else base
    text.max_position_embeddings = positions


def describe_rope(config: PretrainedConfig) -> dict[str, Any]:
    """The rotary parameters as they will be saved."""
    return dict(config.get_text_config().rope_parameters)
