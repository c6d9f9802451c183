"""Schedule, loss, window, memory and flags of the continue recipe."""

import itertools
import math

import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import (
    AutoModelForCausalLM,
    Cohere2Config,
    Gemma2Config,
    GPT2Config,
    GraniteConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PretrainedConfig,
)

from lac.errors import UserError
from lac.loss import IGNORED, DecoderLoss, check_head, chunked_cross_entropy
from lac.memory import count_parameters, empty_decoder, estimate_memory
from lac.rope import describe_rope, set_window
from lac.schedule import learning_rate
from lac.settings import Settings, parse, plan

SMALL = {
    "vocab_size": 61,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
}


def test_the_rate_rises_to_its_peak_and_falls_in_equal_steps() -> None:
    rates = [learning_rate(step, steps=100, peak=2e-5, warmup_steps=20) for step in range(1, 101)]
    assert rates[0] == pytest.approx(1e-6)
    assert rates[9] == pytest.approx(1e-5)
    assert rates[19] == pytest.approx(2e-5)
    assert rates[20] == pytest.approx(2e-5)
    assert rates[60] == pytest.approx(1e-5)
    assert rates[99] == pytest.approx(2e-5 / 80)
    falls = [before - after for before, after in itertools.pairwise(rates[20:])]
    assert max(falls) == pytest.approx(min(falls))
    assert learning_rate(1, steps=2, peak=1.0, warmup_steps=0) == 1.0


def test_the_loss_in_chunks_is_the_plain_loss() -> None:
    torch.manual_seed(0)
    hidden = torch.randn(23, 8, dtype=torch.float32, requires_grad=True)
    head = torch.nn.Linear(8, 31)
    labels = torch.randint(0, 31, (23,))
    labels[4:9] = IGNORED
    plain = cross_entropy(head(hidden), labels, ignore_index=IGNORED, reduction="sum")
    expected = torch.autograd.grad(plain, [hidden, head.weight, head.bias])
    for chunk in (1, 7, 23, 100):
        loss = chunked_cross_entropy(hidden, labels, head, chunk)
        assert loss.item() == pytest.approx(plain.item(), rel=1e-6)
        for got, want in zip(torch.autograd.grad(loss, [hidden, head.weight, head.bias]), expected, strict=True):
            torch.testing.assert_close(got, want)


@pytest.mark.parametrize(
    "config",
    [
        LlamaConfig(**SMALL),
        GraniteConfig(**SMALL, logits_scaling=3.0),
        Cohere2Config(**SMALL, logit_scale=0.25),
        Gemma2Config(**SMALL, head_dim=8, final_logit_softcapping=0.5),
    ],
    ids=lambda config: str(config.model_type),
)
def test_the_loss_of_a_family_is_its_own(config: PretrainedConfig) -> None:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    ids = torch.randint(1, 61, (2, 16))
    labels = torch.full_like(ids, IGNORED)
    labels[:, :-1] = ids[:, 1:]
    logits = model(input_ids=ids, use_cache=False).logits.float()
    expected = cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED, reduction="sum")
    whole = DecoderLoss(model, chunk=5)
    assert whole(ids, labels).item() == pytest.approx(expected.item(), rel=1e-5)
    check_head(whole, "test")


def test_a_head_that_is_not_known_is_refused() -> None:
    class Doubled(LlamaForCausalLM):
        def forward(self, **inputs: object) -> object:
            output = super().forward(**inputs)
            output.logits = output.logits * 2 + 1
            return output

    with pytest.raises(UserError, match="more than a linear layer"):
        check_head(DecoderLoss(Doubled(LlamaConfig(**SMALL))), "test")


def llama(**rope: object) -> LlamaConfig:
    return LlamaConfig(**SMALL, rope_parameters={"rope_type": "default", "rope_theta": 10_000.0, **rope})


def test_the_base_and_the_window_change() -> None:
    for given, own, expected in ((None, 1e4, 5e5), (None, 1e6, 1e6), (2e4, 1e6, 2e4)):
        config = llama(rope_theta=own)
        set_window(config, 32_768, base=given)
        assert describe_rope(config) == {"rope_type": "default", "rope_theta": expected}
        assert config.max_position_embeddings == 32_768


def test_a_scaling_takes_the_place_of_the_old_one() -> None:
    config = llama(rope_type="linear", factor=2.0)
    set_window(config, 256, scaling={"type": "yarn", "factor": 4.0})
    assert describe_rope(config) == {
        "rope_type": "yarn",
        "rope_theta": 10_000.0,
        "factor": 4.0,
        "original_max_position_embeddings": 64,
    }
    with pytest.raises(UserError, match="linear"):
        set_window(llama(), 256, scaling={"rope_type": "none of these"})
    with pytest.raises(UserError, match="no rotary base"):
        set_window(GPT2Config(), 256)


def test_the_recipe_is_the_default() -> None:
    needed = ["--model", "M", "--data", "D", "--out", "O"]
    settings = parse(needed)
    planned = plan(settings, 8)
    assert (settings.sequence_length, settings.learning_rate, settings.warmup_steps) == (32_768, 2e-5, 20)
    assert (planned.batch_sequences, planned.steps, planned.sequences_each) == (32, 954, 4)
    settings = parse([*needed, "--tokens", "1.5M", "--batch-tokens", "1M", "--micro-batch", "3"])
    assert (settings.tokens, plan(settings, 2).batch_sequences) == (1_500_000, 36)


@pytest.mark.parametrize("flags", ["--tokens 0", "--tokens 1.5", "--learning-rate -1", "--rope-scaling 3", "--seed -1"])
def test_a_wrong_flag_ends_with_2(flags: str) -> None:
    with pytest.raises(SystemExit) as ended:
        parse([*["--model", "M", "--data", "D", "--out", "O"], *flags.split()])
    assert ended.value.code == 2


def test_the_estimate_shares_out_what_is_sharded() -> None:
    config = LlamaConfig(**{**SMALL, "tie_word_embeddings": True})
    model = empty_decoder(config)
    parameters = count_parameters(model)
    assert parameters == sum(weights.numel() for weights in LlamaForCausalLM(config).parameters())
    assert all(weights.device.type == "meta" for weights in model.parameters())
    one, four = (
        estimate_memory(config, model, gpus=gpus, micro_batch=2, length=64, chunk=16, bfloat16=True) for gpus in (1, 4)
    )
    assert (one.weights, one.gradients, one.optimizer, one.gathered) == (
        4 * parameters,
        4 * parameters,
        8 * parameters,
        0,
    )
    assert four.weights == parameters
    assert four.gathered > 0
    assert one.logits == 16 * 61 * (2 + 4 + 4)
    assert math.isclose(one.total, sum(vars(one).values()))


def test_settings_have_the_flags_defaults() -> None:
    parsed = parse(["--model", "M", "--data", "D", "--out", "O"])
    assert parsed == Settings(parsed.model, parsed.data, parsed.out)
