"""The item encoder that alignment trains: a language model, and how an item's vector is read from its states."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from torch import nn

from models.llm.batches import pad
from models.llm.language_model import (
    has_language_model_head,
    load_backbone,
    load_language_model,
    load_tokenizer,
    takes_images,
)
from models.llm.segments import ANSWER, EMB, EMB_TOKENS, Segments, attention_bias, segments

CARD = "alignment.json"
EMB_FILE = "emb.safetensors"


class ItemEncoder(nn.Module):
    """Encodes items by a causal language model with ``<EMB>`` tokens, or by an encoder without a language-model head.

    With a causal model, an item's vector is the mean of the last hidden states of three ``<EMB>`` tokens that follow
    its content (QARM V2). With an encoder that has no language-model head, it is the mean of the states of the
    content's tokens.

    Args:
        folder: a converted model.
        dtype: ``float32`` or ``bfloat16``.
        layers: number of layers to keep, from the first; 0 keeps all.
        lora_rank: rank of the LoRA adapters that are trained instead of the weights; 0 trains the weights.

    Raises:
        ValueError: the model takes images, or has fewer than ``layers`` layers.
    """

    def __init__(self, folder: Path, dtype: str, layers: int = 0, lora_rank: int = 0) -> None:
        super().__init__()
        if takes_images(folder):
            raise ValueError("align.steps: a model that takes images cannot be aligned; set align.steps=0")
        self.tokenizer = load_tokenizer(folder)
        self.has_head = has_language_model_head(folder)
        model = load_language_model(folder, dtype) if self.has_head else load_backbone(folder, dtype)
        _keep_layers(model, layers)
        self.model: Any = _with_adapters(model, lora_rank) if lora_rank else model
        self.emb: nn.Parameter | None = None
        if self.has_head:
            self.emb = nn.Parameter(_initial_emb(folder, model, self.tokenizer))
        for module in self.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0  # gradient caching encodes a chunk twice, and both passes must give the same vectors

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return next(self.parameters()).device

    @property
    def dimension(self) -> int:
        """Dimension of an item's vector."""
        return int(self.model.config.hidden_size)

    def vectors(self, contents: Sequence[Sequence[int]]) -> torch.Tensor:
        """Vectors, not normalised, of contents given as token ids; shape (contents, dimension)."""
        if not self.has_head:
            ids, mask = (part.to(self.device) for part in pad(contents, self.tokenizer.pad_token_id))
            states = self.model(input_ids=ids, attention_mask=mask).last_hidden_state.float()
            return (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        batch = segments(contents).to(self.device)
        return self._emb_mean(self.states(batch), batch.kinds)

    def vectors_and_surprise(
        self, contents: Sequence[Sequence[int]], questions: Sequence[Sequence[int]], answers: Sequence[Sequence[int]],
        view: float,
    ) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
        """Vectors, not normalised, and the summed next-token loss over the tokens of the answers.

        Args:
            contents: token ids of each content.
            questions: token ids of each content's question; may be empty.
            answers: token ids of each question's answer; may be empty.
            view: share of the attention to the content that question and answer tokens keep, see
                :func:`models.llm.segments.attention_bias`.
        """
        batch = segments(contents, questions, answers).to(self.device)
        states = self.states(batch, view)
        asked = (batch.kinds == ANSWER)[:, 1:]
        logits = self._base().get_output_embeddings()(states[:, :-1][asked]).float()
        surprise = nn.functional.cross_entropy(logits, batch.ids[:, 1:][asked], reduction="sum")
        return self._emb_mean(states, batch.kinds), surprise

    def states(self, batch: Segments, view: float = 0.0) -> torch.Tensor:
        """Last hidden state of every token, shape (batch, width, dimension)."""
        if self.emb is None:
            raise ValueError(
                "an encoder without a language-model head has no <EMB> tokens; set language_model.model to a causal one"
            )
        base = self._base()
        inputs = base.get_input_embeddings()(batch.ids)
        place = (batch.kinds == EMB).long().cumsum(1).sub(1).clamp(0, EMB_TOKENS - 1)
        inputs = torch.where((batch.kinds == EMB)[..., None], self.emb.to(inputs.dtype)[place], inputs)
        bias = attention_bias(batch.kinds, view, inputs.dtype)
        decoder = base.get_decoder()
        return decoder(
            inputs_embeds=inputs, attention_mask=bias, position_ids=batch.positions, use_cache=False
        ).last_hidden_state

    def _base(self) -> Any:
        return self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model

    @staticmethod
    def _emb_mean(states: torch.Tensor, kinds: torch.Tensor) -> torch.Tensor:
        own = (kinds == EMB)[..., None]
        return (states.float() * own).sum(1) / EMB_TOKENS

    def trained(self) -> dict[str, nn.Parameter]:
        """The trainable parameters by name."""
        return {name: value for name, value in self.named_parameters() if value.requires_grad}

    def save(self, folder: Path) -> None:
        """Writes the weights (adapters merged in), the tokenizer, the ``<EMB>`` vectors and a JSON card to a folder."""
        model = self.model.merge_and_unload() if hasattr(self.model, "merge_and_unload") else self.model
        model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        if self.emb is not None:
            save_file({"emb": self.emb.detach().contiguous()}, folder / EMB_FILE)
        (folder / CARD).write_text(json.dumps({"reads": "emb" if self.has_head else "mean"}))


def is_aligned(folder: Path) -> bool:
    """Whether a folder holds an encoder that :meth:`ItemEncoder.save` wrote."""
    return (folder / CARD).is_file()


def _initial_emb(folder: Path, model: Any, tokenizer: Any) -> torch.Tensor:
    """Saved ``<EMB>`` vectors; for a model not yet aligned, the end-of-text embedding with a little noise added."""
    if (folder / EMB_FILE).is_file():
        return load_file(folder / EMB_FILE)["emb"]
    token = tokenizer.eos_token_id if tokenizer.eos_token_id is not None else 0
    start = model.get_input_embeddings().weight[token].detach().float()
    noise = torch.randn((EMB_TOKENS, len(start)), generator=torch.Generator().manual_seed(0))
    return start + 0.1 * start.std() * noise


def _keep_layers(model: Any, layers: int) -> None:
    if not layers:
        return
    trunk = model.get_decoder() if hasattr(model, "get_decoder") else model
    stack = trunk if hasattr(trunk, "layers") else trunk.encoder
    name = "layers" if hasattr(stack, "layers") else "layer"
    depth = len(getattr(stack, name))
    if layers > depth:
        raise ValueError(f"align.layers: the model has only {depth} layers, not {layers}; set at most {depth}, or 0")
    setattr(stack, name, getattr(stack, name)[:layers])
    model.config.num_hidden_layers = layers


def _with_adapters(model: Any, rank: int) -> Any:
    return get_peft_model(model, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear"))
