"""A Hugging Face folder in, and the trained one out. Nothing is fetched and no code of a checkpoint is run."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PretrainedConfig, PreTrainedModel
from transformers.utils import logging
from transformers.utils.import_utils import is_flash_attn_2_available

from lac.checkpointing import finish_folder, start_folder
from lac.data import Encode, Tokens
from lac.errors import BadDocument, UserError
from lac.loss import DecoderLoss
from lac.rope import set_window
from lac.rows import Ids
from lac.settings import Settings

TOKENIZER_FILES = ("tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab*", "merges.txt", "chat_*")


def long_config(settings: Settings) -> PretrainedConfig:
    """The checkpoint's config at the new window. Raises UserError (see `set_window`)."""
    config: PretrainedConfig = AutoConfig.from_pretrained(settings.model, local_files_only=True)
    set_window(config, settings.sequence_length, base=settings.rope_base, scaling=settings.rope_scaling)
    return config


def choose_attention(wanted: str | None) -> str:
    """Flash attention where there are a CUDA GPU and the package, else PyTorch's. Raises UserError if it cannot run."""
    flash = torch.cuda.is_available() and is_flash_attn_2_available()
    if wanted == "flash_attention_2" and not flash:
        raise UserError(
            "Flash attention cannot run here",
            where="--attention",
            got=wanted,
            allowed="sdpa; flash_attention_2 with a CUDA GPU and the package flash-attn",
        )
    return wanted or ("flash_attention_2" if flash else "sdpa")


def load_decoder(settings: Settings, config: PretrainedConfig, attention: str) -> PreTrainedModel:
    """Weights in float32, the optimizer's own: a step of 2e-5 is lost in a bfloat16 weight."""
    logging.disable_progress_bar()
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
        settings.model,
        config=config,
        dtype=torch.float32,
        attn_implementation=attention,
        local_files_only=True,
        use_safetensors=True,
    )
    model.activation_checkpointing_enable({"use_reentrant": False})
    model.train()
    return model


def document_encoder(folder: Path, config: PretrainedConfig, *, pack: bool) -> Encode:
    """Text to ids with the tokenizer's own marks, and the end of text where it has none at the end.

    Ids stay as they are, for they may be a window of a document; packing puts the end of text after them.

    Raises UserError for packing without an end of text, and for a tokenizer of more words than the decoder has.
    """
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    end = tokenizer.eos_token_id if tokenizer.eos_token_id is not None else config.get_text_config().eos_token_id
    end = end[0] if isinstance(end, list) else end
    if end is None and pack:
        raise UserError("--pack needs an end of text", where=str(folder), fix="Name eos_token_id in config.json.")
    words = config.get_text_config().vocab_size
    if len(tokenizer) > words:
        raise UserError(
            "The tokenizer has more words than the decoder", where=str(folder), got=len(tokenizer), allowed=f"{words}"
        )

    def encode(content: str | Ids) -> Tokens:
        if isinstance(content, str):
            ids = np.array(tokenizer(content, verbose=False).input_ids, np.int32)
        elif content.min() < 0 or content.max() >= words:
            raise BadDocument(f"token ids from {content.min()} to {content.max()}; allowed: 0 to {words - 1}")
        else:
            ids = content.astype(np.int32)
        ended = len(ids) > 0 and ids[-1] == end
        if end is None or ended or not (pack or isinstance(content, str)):
            return ids
        return np.append(ids, np.int32(end))

    return encode


def save_decoder(accelerator: Accelerator, model: torch.nn.Module, source: Path, final: Path) -> None:
    """An ordinary Hugging Face folder: bfloat16 safetensors, config, and the tokenizer's files as they were.

    Called by every process; the main one writes.
    """
    state = accelerator.get_state_dict(model)
    if accelerator.is_main_process:
        whole = accelerator.unwrap_model(model)
        if not isinstance(whole, DecoderLoss):
            raise TypeError(f"not a DecoderLoss: {type(whole)}")
        folder = start_folder(final)
        write_decoder(whole.decoder, {name.removeprefix("decoder."): value for name, value in state.items()}, folder)
        for pattern in TOKENIZER_FILES:
            for path in source.glob(pattern):
                shutil.copy(path, folder)
        finish_folder(folder, final)
    accelerator.wait_for_everyone()


def write_decoder(decoder: PreTrainedModel, state: dict[str, Any], folder: Path) -> None:
    """state: name to tensor, of any type. Tied weights are written once."""
    tied = decoder.all_tied_weights_keys
    saved = {name: value.to(torch.bfloat16) for name, value in state.items() if name not in tied}
    decoder.save_pretrained(folder, state_dict=saved)
    decoder.config.dtype = torch.bfloat16
    decoder.config.save_pretrained(folder)
