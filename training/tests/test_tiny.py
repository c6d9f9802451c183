"""The recipe of lac-tiny: what is fetched was there, nothing held out is read, a stopped run goes on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

from lac.tiny.batches import Batches
from lac.tiny.corpus import Tokens, encode, training_documents
from lac.tiny.export import export
from lac.tiny.fetch import CUE, Fetcher
from lac.tiny.model import ModelConfig, TinyLlama
from lac.tiny.muon import Muon
from lac.tiny.probe import Prober, retrieval_scores
from lac.tiny.tokenizer import train_tokenizer
from lac.tiny.train import Phase, Recipe, Training

CONFIG = ModelConfig(vocab_size=300, hidden_size=32, intermediate_size=48, layers=2, heads=2, head_dim=16, window=512)
WORDS = [f"{first}{second}" for first in ("al", "be", "co", "du") for second in ("ra", "ne", "si", "to", "mu")]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer([" ".join(WORDS) + " of is the number: 0123456789"] * 3, CONFIG.vocab_size)


def ids(length: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, length).astype(np.uint16)


@pytest.fixture()
def tokens() -> Tokens:
    return Tokens({"prose": [ids(900, 1), ids(600, 2)], "law": [ids(700, 3)]}, [ids(800, 4)])


def test_what_is_fetched_was_there_before(tokenizer: Tokenizer) -> None:
    fetcher, seen = Fetcher(tokenizer), 0
    for seed in range(60):
        made = fetcher.write(ids(1024, seed), ids(256, seed + 1), np.random.default_rng(seed))
        at = np.flatnonzero(made.source >= 0)
        assert len(made.tokens) == 1024
        assert np.array_equal(made.tokens[at], made.tokens[made.source[at]])
        assert (made.source[at] < at).all()
        seen += len(at)
    assert seen > 60 * 20


def test_a_passage_comes_again_at_the_distance_asked_for(tokenizer: Tokenizer) -> None:
    fetcher = Fetcher(tokenizer)
    made = fetcher.plain(ids(512))
    fetcher.passage(made, 40, np.random.default_rng(0), 300)
    at = np.flatnonzero(made.source >= 0)
    assert len(at) == 40 - CUE
    assert (at - made.source[at] == 300).all()


def test_batches_depend_on_seed_and_step_alone(tokenizer: Tokenizer, tokens: Tokens) -> None:
    first, again, other = (Batches(tokens, Fetcher(tokenizer), 256, 0.5, seed) for seed in (0, 0, 1))
    assert torch.equal(first.at(7, 4).tokens, again.at(7, 4).tokens)
    assert not torch.equal(first.at(7, 4).tokens, first.at(8, 4).tokens)
    assert not torch.equal(first.at(7, 4).tokens, other.at(7, 4).tokens)


def test_a_sequence_is_of_one_document(tokenizer: Tokenizer, tokens: Tokens) -> None:
    batches = Batches(tokens, Fetcher(tokenizer), 650, 0.0, 0)
    documents = [one.tobytes() for kept in tokens.training.values() for one in kept]
    for row in batches.at(0, 8).tokens:
        assert any(row.numpy().astype(np.uint16).tobytes() in document for document in documents)


def test_nothing_held_out_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tokenizer: Tokenizer) -> None:
    rows = [("a", "books", "here"), ("b", "books", "there"), ("c", "patents", "one"), ("d", "patents", "one")]
    file = tmp_path / "corpus.jsonl"
    meta = [
        {"id": i, "text": " ".join(WORDS), "meta": {"domain": d, "source": s, "licence": "CC0"}} for i, d, s in rows
    ]
    file.write_text("".join(json.dumps(one) + "\n" for one in meta))
    held_out = tmp_path / "held-out.json"
    held_out.write_text(json.dumps({"sources": {"books": ["there"]}, "documents": ["c"]}))
    monkeypatch.setattr("lac.tiny.corpus.HELD_OUT", held_out)
    documents = training_documents(file)
    assert [document.id for document in documents] == ["a", "d"]
    assert encode(documents, tokenizer, tmp_path).count == sum(
        len(tokenizer.encode(document.text).ids) for document in documents
    )


def test_the_exported_folder_is_the_same_model(tmp_path: Path, tokenizer: Tokenizer) -> None:
    torch.manual_seed(3)
    model = TinyLlama(CONFIG)
    export(model, tokenizer, tmp_path, torch.float32)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32, attn_implementation="eager")
    text = torch.from_numpy(ids(200).astype(np.int64))[None]
    with torch.no_grad():
        seen = theirs(text, output_attentions=True)
        ours = torch.nn.functional.linear(model(text), model.embed_tokens.weight)
        assert torch.allclose(ours, seen.logits, atol=1e-5)
        source = torch.full((200,), -1)
        source[150:170] = torch.arange(20, 40)
        found = retrieval_scores(model, text[0], source)
    rows, columns = torch.arange(149, 169), torch.arange(20, 40)
    expected = torch.stack([layer[0][:, rows, columns].mean(-1) for layer in seen.attentions])
    assert torch.allclose(found, expected, atol=1e-6)


def test_a_stopped_run_goes_on_as_if_it_had_not_been(tmp_path: Path, tokenizer: Tokenizer, tokens: Tokens) -> None:
    recipe = Recipe(phases=(Phase(256, 12 * 1024),), warmup_steps=2)
    batches = Batches(tokens, Fetcher(tokenizer), 256, 0.5, 0)

    def steps(training: Training, count: int) -> list[float]:
        return [training.update(batches.at(training.step, 4).tokens, training.model.losses) for _ in range(count)]

    whole = steps(Training(recipe, CONFIG, tmp_path), 8)
    stopped = Training(recipe, CONFIG, tmp_path)
    first = steps(stopped, 5)
    stopped.save()
    again = Training(recipe, CONFIG, tmp_path)
    again.restore()
    assert first + steps(again, 3) == whole
    with pytest.raises(SystemExit, match="another recipe"):
        Training(replace(recipe, fetch_share=0.9), CONFIG, tmp_path).restore()


def test_rates_rise_stay_and_fall() -> None:
    recipe = Recipe(phases=(Phase(256, 1000),), warmup_steps=10, decay_share=0.5)
    assert recipe.rate(0, 0) == pytest.approx(0.1)
    assert recipe.rate(50, 400) == 1
    assert recipe.rate(50, 750) == pytest.approx(0.5)
    assert recipe.rate(50, 1000) == pytest.approx(0.05)


def test_a_probe_knows_copies_from_new_text(tokenizer: Tokenizer, tokens: Tokens) -> None:
    prober = Prober(tokens, Fetcher(tokenizer), 512, count=3)
    assert [distance for distance, _, _ in prober.samples] == [64, 256, 384]
    torch.manual_seed(0)
    probe = prober.measure(TinyLlama(CONFIG))
    assert len(probe.retrieval) == CONFIG.layers and len(probe.retrieval[0]) == CONFIG.heads
    # An untrained model knows neither.
    assert probe.loss == pytest.approx(np.log(CONFIG.vocab_size), rel=0.2)


@pytest.mark.parametrize("shape", [(32, 64), (64, 32), (16, 16)])
def test_muon_in_float32_steps_as_that_of_torch(shape: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(1)
    start = torch.randn(shape, generator=generator)
    ours, theirs = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start.clone())
    optimizers = Muon([ours], lr=0.02), torch.optim.Muon([theirs], lr=0.02, weight_decay=0.0)
    for _ in range(5):
        gradient = torch.randn(shape, generator=generator)
        for parameter, optimizer in zip((ours, theirs), optimizers, strict=True):
            parameter.grad = gradient.clone()
            optimizer.step()
    # Of a change of 0.03: torch rounds to bfloat16 on the way.
    assert (ours - theirs).abs().max() < 1e-3
    assert (ours - start).abs().max() > 1e-2
