"""Next-token loss without the logits of a whole sequence.

The logits of 32,768 positions and 150,000 words are 9.8 GB in bfloat16 and 19.7 GB in float32, and their gradient is as
large. The head and the cross-entropy therefore run on a chunk of positions at a time, and the backward pass makes each
chunk's logits again instead of keeping them.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.checkpoint import checkpoint
from transformers import PretrainedConfig, PreTrainedModel

from lac.errors import UserError

CHUNK_POSITIONS = 1024
IGNORED = -100


def chunked_cross_entropy(
    hidden: Tensor, labels: Tensor, head: Callable[[Tensor], Tensor], chunk: int = CHUNK_POSITIONS
) -> Tensor:
    """The sum of the cross-entropy over positions, float32 scalar.

    hidden [N, D]; labels [N] int64, `IGNORED` where nothing is to be predicted; head maps [n, D] to logits [n, V].
    """

    def part(states: Tensor, targets: Tensor) -> Tensor:
        return cross_entropy(head(states).float(), targets, ignore_index=IGNORED, reduction="sum")

    total = torch.zeros((), dtype=torch.float32, device=hidden.device)
    for states, targets in zip(hidden.split(chunk), labels.split(chunk), strict=True):
        total = total + checkpoint(part, states, targets, use_reentrant=False)
    return total


def after_head(config: PretrainedConfig) -> Callable[[Tensor], Tensor]:
    """What a family does to the logits after its head, by the names its config has for it."""
    multiplied = (getattr(config, "logit_scale", None) or 1.0) * (getattr(config, "lm_head_multiplier", None) or 1.0)
    factor = multiplied / (getattr(config, "logits_scaling", None) or 1.0)
    cap = getattr(config, "final_logit_softcapping", None)

    def apply(logits: Tensor) -> Tensor:
        logits = logits if factor == 1.0 else logits * factor
        return logits if cap is None else torch.tanh(logits / cap) * cap

    return apply


class DecoderLoss(nn.Module):
    """A causal decoder and its loss as one module: FSDP gathers the head's weight only inside of a forward pass."""

    def __init__(self, decoder: PreTrainedModel, chunk: int = CHUNK_POSITIONS) -> None:
        super().__init__()
        self.decoder = decoder
        self.chunk = chunk
        self.after_head = after_head(decoder.config.get_text_config())
        # accelerate reads which layers FSDP wraps one by one here.
        self._no_split_modules = decoder._no_split_modules

    def tie_weights(self) -> None:
        """For accelerate, which ties again what it moved."""
        self.decoder.tie_weights()

    def logits(self, states: Tensor) -> Tensor:
        """[n, D] to [n, V]."""
        return self.after_head(self.decoder.get_output_embeddings()(states))

    def states(self, ids: Tensor) -> Tensor:
        """The states under the head: [B, T] int64 to [B, T, D]. Rows are padded on the right, which causal attention
        does not see from the left, so there is no mask."""
        states: Tensor = self.decoder.base_model(input_ids=ids, use_cache=False).last_hidden_state
        return states

    def forward(self, ids: Tensor, labels: Tensor) -> Tensor:
        """ids, labels [B, T] int64, labels shifted already. The sum of the loss over positions, float32 scalar."""
        return chunked_cross_entropy(self.states(ids).flatten(0, 1), labels.flatten(), self.logits, self.chunk)


@torch.no_grad()
def check_head(model: DecoderLoss, name: str) -> None:
    """That states and head give the logits the decoder gives by itself, on a few tokens.

    Raises UserError where a family does something between the two that `after_head` does not know.
    """
    device = next(model.parameters()).device
    if device.type == "meta":
        return
    ids = torch.arange(8, device=device)[None] % model.decoder.config.get_text_config().vocab_size
    was_training = model.training
    model.eval()
    expected = model.decoder(input_ids=ids, use_cache=False).logits.float()
    got = model.logits(model.states(ids)).float()
    model.train(was_training)
    if expected.shape != got.shape or not torch.allclose(expected, got, rtol=1e-2, atol=1e-2):
        raise UserError(
            "The head of this decoder is more than a linear layer",
            where=name,
            got=model.decoder.config.model_type,
            allowed="linear, with logit_scale, logits_scaling, lm_head_multiplier or final_logit_softcapping",
            fix="Add what it does to after_head in lac/loss.py.",
        )
