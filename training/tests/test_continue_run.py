"""Whole runs of the continue recipe with a tiny random Llama: kills, signals, resume, the result."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors import safe_open
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from lac import run_state
from lac.continue_training import main
from lac.decoder import document_encoder

ROOT = Path(__file__).parents[1]
STEPS = 7


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `model` (tied, dropout, bytes for tokens) and `data.jsonl`."""
    folder = tmp_path_factory.mktemp("inputs")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=257,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=16,
        tie_word_embeddings=True,
        # So that the random state matters.
        attention_dropout=0.1,
        bos_token_id=None,
        eos_token_id=256,
    )
    LlamaForCausalLM(config).save_pretrained(folder / "model")
    words = {letter: number for number, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(vocab=words, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.save(str(folder / "model" / "tokenizer.json"))
    texts = (f"document {number} " * (number % 7 + 1) for number in range(40))
    (folder / "data.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return folder


@pytest.fixture(autouse=True)
def fresh_accelerate() -> Iterator[None]:
    """accelerate remembers its settings and the signals stay caught, in one process."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    AcceleratorState._reset_state(reset_partial_state=True)
    for number, handler in handlers.items():
        signal.signal(number, handler)


def flags(inputs: Path, out: Path, *more: str) -> list[str]:
    files = ["--model", str(inputs / "model"), "--data", str(inputs / "data.jsonl"), "--out", str(out)]
    sizes = f"--sequence-length 32 --tokens {STEPS * 128} --batch-tokens 128 --micro-batch 2 --shuffle-buffer 8"
    rates = "--warmup-steps 2 --learning-rate 1e-2 --checkpoint-every 2"
    return [*files, *sizes.split(), *rates.split(), *more]


def again(*arguments: str) -> int:
    AcceleratorState._reset_state(reset_partial_state=True)
    return main(list(arguments))


@pytest.fixture(scope="session")
def undisturbed(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "undisturbed"
    assert again(*flags(inputs, out)) == 0
    return out


def same(run: Path, other: Path) -> None:
    assert (run / "log.jsonl").read_text() == (other / "log.jsonl").read_text()
    assert weights(run).keys() == weights(other).keys()
    assert all(torch.equal(tensor, weights(other)[name]) for name, tensor in weights(run).items())


def weights(run: Path) -> dict[str, torch.Tensor]:
    with safe_open(run / "model" / "model.safetensors", "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)


def child(code: str, *arguments: str) -> int:
    """The exit code of a Python that has `training` and `os` and `signal` at hand."""
    imports = "import os, signal, sys\nfrom lac import continue_training as training\nstep = training.Training.step\n"
    ends = "\nsys.exit(training.main(sys.argv[1:]))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", imports + code + ends, *arguments],
        env=environment,
        check=False,
        stderr=subprocess.DEVNULL,
    ).returncode


AT_STEP = """
def signalled(self):
    if self.progress.step == {step}: os.kill(os.getpid(), signal.{name})
    return step(self)
training.Training.step = signalled
"""


def test_token_ids_train_as_their_text(inputs: Path, undisturbed: Path, tmp_path: Path) -> None:
    tokenizer = Tokenizer.from_file(str(inputs / "model" / "tokenizer.json"))
    texts = [json.loads(line)["text"] for line in (inputs / "data.jsonl").read_text().splitlines()]
    ids = [[*tokenizer.encode(text).ids, 256] for text in texts]
    pq.write_table(pa.table({"input_ids": pa.array(ids, pa.list_(pa.int32()))}), tmp_path / "ids.parquet")
    assert again(*flags(inputs, tmp_path / "run", "--data", str(tmp_path / "ids.parquet"))) == 0
    same(tmp_path / "run", undisturbed)


def test_ids_that_the_decoder_has_no_word_for_are_bad_rows(
    inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "ids.jsonl"
    data.write_text("".join(json.dumps({"input_ids": ids}) + "\n" for ids in ([1, 2], [4, 257], [-1, 5], [2**32, 6])))
    assert again(*flags(inputs, tmp_path / "run", "--data", str(data))) == 3
    named = [line for line in capsys.readouterr().err.splitlines() if line.startswith("ids.jsonl:")]
    assert named == [
        "ids.jsonl:2: token ids from 4 to 257; allowed: 0 to 256",
        "ids.jsonl:3: token ids from -1 to 5; allowed: 0 to 256",
        f"ids.jsonl:4: token ids from 6 to {2**32}; allowed: 0 to 256",
    ]


def test_a_text_of_no_tokens_is_the_end_alone(inputs: Path, tmp_path: Path) -> None:
    tokenizer = Tokenizer.from_file(str(inputs / "model" / "tokenizer.json"))
    tokenizer.normalizer = normalizers.Strip()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "config.json").write_text((inputs / "model" / "config.json").read_text())
    encode = document_encoder(tmp_path, AutoConfig.from_pretrained(tmp_path), pack=False)
    assert encode("  ").tolist() == [256]
    assert encode(" a ").tolist() == [*tokenizer.encode("a").ids, 256]


def test_a_killed_run_goes_on_the_same(inputs: Path, undisturbed: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert child(AT_STEP.format(step=5, name="SIGKILL"), *flags(inputs, out)) == -signal.SIGKILL
    # Step 5 is in the log and in no checkpoint: it is taken again.
    assert len((out / "log.jsonl").read_text().splitlines()) == 5
    assert sorted(path.name for path in (out / "checkpoints").iterdir()) == ["step-0000002", "step-0000004"]
    assert again(*flags(inputs, out)) == 0
    same(out, undisturbed)


def test_sigterm_writes_a_checkpoint_and_ends_with_143(inputs: Path, undisturbed: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert child(AT_STEP.format(step=2, name="SIGTERM"), *flags(inputs, out)) == 143
    assert sorted(path.name for path in (out / "checkpoints").iterdir()) == ["step-0000002", "step-0000003"]
    assert not (out / "model").exists()
    assert again(*flags(inputs, out)) == 0
    same(out, undisturbed)


def test_a_checkpoint_cut_off_is_none(
    inputs: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"

    class CutOff(Exception):
        pass

    def cut_off(folder: Path, final: Path) -> None:
        if final.name == "step-0000004":
            (folder / "state.json").write_text("{")
            raise CutOff
        finish(folder, final)

    finish = run_state.finish_folder
    with monkeypatch.context() as patch:
        patch.setattr(run_state, "finish_folder", cut_off)
        with pytest.raises(CutOff):
            again(*flags(inputs, out))
    assert again(*flags(inputs, out)) == 0
    same(out, undisturbed)
    assert sorted(path.name for path in (out / "checkpoints").iterdir()) == ["step-0000006", "step-0000007"]


def test_a_run_that_is_done_stays_as_it_is(inputs: Path, undisturbed: Path) -> None:
    before = (undisturbed / "log.jsonl").read_bytes()
    assert again(*flags(inputs, undisturbed)) == 0
    assert (undisturbed / "log.jsonl").read_bytes() == before


def test_another_configuration_is_refused(inputs: Path, undisturbed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert again(*flags(inputs, undisturbed, "--seed", "1", "--rope-base", "20000")) == 2
    message = capsys.readouterr().err
    assert "rope.rope_theta is 500000.0 there and 20000.0 here; seed is 0 there and 1 here" in message
    assert again(*flags(inputs, inputs)) == 2
    assert "no run folder" in capsys.readouterr().err


def test_the_losses_fall_and_the_model_is_an_ordinary_folder(inputs: Path, undisturbed: Path) -> None:
    lines = [json.loads(line) for line in (undisturbed / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, STEPS + 1))
    assert lines[-1]["loss"] < lines[0]["loss"] - 0.3
    assert all(line["grad_norm"] > 0 for line in lines)
    folder = undisturbed / "model"
    config = json.loads((folder / "config.json").read_text())
    assert config["max_position_embeddings"] == 32
    assert config["rope_parameters"]["rope_theta"] == 500_000
    assert config["dtype"] == "bfloat16"
    assert all(tensor.dtype == torch.bfloat16 for tensor in weights(undisturbed).values())
    assert (folder / "tokenizer.json").read_bytes() == (inputs / "model" / "tokenizer.json").read_bytes()
    loaded, info = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    assert loaded.lm_head.weight is loaded.model.embed_tokens.weight


def test_bad_rows_end_with_3(inputs: Path, tmp_path: Path) -> None:
    data = tmp_path / "data.jsonl"
    data.write_text((inputs / "data.jsonl").read_text() + "not json\n")
    arguments = [str(data) if item == str(inputs / "data.jsonl") else item for item in flags(inputs, tmp_path / "run")]
    assert again(*arguments, "--shuffle-buffer", "1000") == 3
    assert (tmp_path / "run" / "model" / "model.safetensors").exists()


def test_a_dry_run_needs_no_weights(inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_bytes((inputs / "model" / "config.json").read_bytes())
    arguments = [str(model) if item == str(inputs / "model") else item for item in flags(inputs, tmp_path / "run")]
    assert main([*arguments, "--dry-run", "--gpus", "2"]) == 0
    printed = capsys.readouterr().out
    assert "GPUs                2" in printed
    assert f"steps               {STEPS}" in printed
    assert not (tmp_path / "run").exists()
