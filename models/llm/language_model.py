"""Finds a language model, converts it once to safetensors, and loads it."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
    modeling_gguf_pytorch_utils,
)

# Bars of loading that end within seconds, and advice to programmers: a user can do nothing about either.
transformers.utils.logging.disable_progress_bar()
modeling_gguf_pytorch_utils.tqdm = partial(modeling_gguf_pytorch_utils.tqdm, disable=True)  # it asks no setting
transformers.utils.logging.set_verbosity_error()

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Source:
    """Where a language model comes from.

    Attributes:
        name: value of ``language_model.model``.
        location: what transformers loads: a local folder or a Hugging Face id.
        gguf: name of the GGUF file in the folder if the weights are GGUF, else None.
    """

    name: str
    location: str
    gguf: str | None


def locate(name: str) -> Source:
    """Finds a model by its name in the settings.

    Args:
        name: a local folder, a Hugging Face id, or ``package:NAME`` for an installed package that contains a model.

    Raises:
        FileNotFoundError: the package is not installed, or the folder contains no model.
    """
    if name.startswith("package:"):
        package = name.removeprefix("package:")
        # The package is not imported: only its files are needed, and its dependencies may be missing.
        try:
            spec = importlib.util.find_spec(package)
        except (ModuleNotFoundError, ValueError):  # of a part of a package that is not there; of no name
            spec = None
        if spec is None or not spec.submodule_search_locations:
            raise FileNotFoundError(
                f"language_model.model: package {package} is not installed; pip install it, or name a folder"
            )
        folder = Path(next(iter(spec.submodule_search_locations)))
        configs = sorted(folder.rglob("config.json"), key=lambda path: len(path.parts))
        return _in_folder(name, configs[0].parent if configs else folder)
    if Path(name).is_dir():
        return _in_folder(name, Path(name))
    if name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise FileNotFoundError(
            f"language_model.model: {name} is not a folder; set an existing folder, a hub's owner/name or package:NAME"
        )
    return Source(name, name, None)


def model_recipe(name: str, dtype: str) -> dict[str, object]:
    """The inputs of a conversion: equal recipes give equal files.

    Args:
        name: the model, see :func:`locate`.
        dtype: ``float32`` or ``bfloat16``.

    Returns:
        Name and dtype of the model, and the sizes of its files if they are on this machine.

    Raises:
        FileNotFoundError: the model cannot be found.
    """
    folder = Path(locate(name).location)
    kinds = (".safetensors", ".gguf", ".json")
    files = {path.name: path.stat().st_size for path in sorted(folder.glob("*")) if path.suffix in kinds}
    return {"model": name, "dtype": dtype, "files": files}


def hidden_layers(folder: Path) -> int:
    """Number of layers of a converted model."""
    config = AutoConfig.from_pretrained(folder)
    return int(getattr(config, "text_config", config).num_hidden_layers)


def has_language_model_head(folder: Path) -> bool:
    """Whether a converted model has a language-model head, so that it gives the likelihood of a text."""
    return _has_language_model_head(AutoConfig.from_pretrained(folder))


def takes_images(folder: Path) -> bool:
    """Whether a converted model is a vision-language model."""
    return _takes_images(AutoConfig.from_pretrained(folder))


def _in_folder(name: str, folder: Path) -> Source:
    if (folder / "config.json").is_file():
        return Source(name, str(folder), None)
    gguf = sorted(folder.glob("*.gguf"))
    if not gguf:
        raise FileNotFoundError(
            f"language_model.model: {folder} holds neither a config.json nor a .gguf file; name the model's own folder"
        )
    return Source(name, str(folder), gguf[0].name)


def convert(name: str, dtype: str, folder: Path) -> None:
    """Writes a model and its tokenizer with safetensors weights, which processes share through memory mapping.

    Args:
        name: the model, see :func:`locate`.
        dtype: ``float32`` or ``bfloat16``.
        folder: existing folder to write to.

    Raises:
        FileNotFoundError: the model cannot be found or read.
    """
    source = locate(name)
    if not source.gguf and _takes_images(_config(name, source)):
        model = AutoModelForImageTextToText.from_pretrained(source.location, dtype=DTYPES[dtype], use_safetensors=True)
        model.save_pretrained(folder)
        AutoProcessor.from_pretrained(source.location).save_pretrained(folder)
        return
    gguf: dict[str, Any] = {"gguf_file": source.gguf} if source.gguf else {}
    try:
        tokenizer = AutoTokenizer.from_pretrained(source.location, **gguf)
        # A GGUF file always holds a causal model, does not name its architecture and takes seconds to parse.
        causal = bool(gguf) or _has_language_model_head(AutoConfig.from_pretrained(source.location))
        loader = AutoModelForCausalLM if causal else AutoModel
        weights = gguf or {"use_safetensors": True}  # pickled weights can run code, so they are refused
        model = loader.from_pretrained(source.location, dtype=DTYPES[dtype], **weights)
    except OSError as error:
        raise FileNotFoundError(f"language_model.model: {name}: {str(error).splitlines()[0]}") from None
    if source.gguf:
        model = _plain(model)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _config(name: str, source: Source) -> Any:
    try:
        return AutoConfig.from_pretrained(source.location)
    except OSError as error:
        raise FileNotFoundError(f"language_model.model: {name}: {str(error).splitlines()[0]}") from None


def _takes_images(config: Any) -> bool:
    return hasattr(config, "vision_config") and hasattr(config, "text_config")


def _has_language_model_head(config: Any) -> bool:
    return any(name.endswith("ForCausalLM") for name in config.architectures or [])


def _plain(model: Any) -> Any:
    """The same model without its GGUF quantization settings, which transformers cannot save."""
    config = model.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    plain = type(model)(config).to(model.dtype)
    plain.load_state_dict(model.state_dict())
    plain.tie_weights()
    return plain


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer of a converted model, with a padding token."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_language_model(folder: Path, dtype: str) -> Any:
    """A converted model with its language-model head, in evaluation mode.

    Raises:
        ValueError: the model has no language-model head.
    """
    config = AutoConfig.from_pretrained(folder)
    if not _has_language_model_head(config):
        raise ValueError(
            f"language_model.model: {config.architectures} has no language-model head, which likelihoods need; set a"
            " causal language model, or judge.method=similarity"
        )
    return AutoModelForCausalLM.from_pretrained(folder, dtype=DTYPES[dtype], use_safetensors=True).eval()


def load_backbone(folder: Path, dtype: str) -> Any:
    """A converted model without its head, in evaluation mode."""
    return AutoModel.from_pretrained(folder, dtype=DTYPES[dtype], use_safetensors=True).eval()


def load_image_text_model(folder: Path, dtype: str) -> tuple[Any, Any]:
    """A converted vision-language model in evaluation mode, and its processor."""
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=DTYPES[dtype], use_safetensors=True)
    processor = AutoProcessor.from_pretrained(folder)
    if processor.tokenizer.pad_token is None:
        processor.tokenizer.pad_token = processor.tokenizer.eos_token
    processor.tokenizer.padding_side = "right"
    return model.eval(), processor


def input_embedding(folder: Path) -> NDArray[np.float32]:
    """The input embedding of a converted model, shape (tokens, width)."""
    weight = load_backbone(folder, "float32").get_input_embeddings().weight
    found: NDArray[np.float32] = weight.detach().float().numpy()
    return found
