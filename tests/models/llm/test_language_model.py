from __future__ import annotations

import pytest
from transformers import modeling_gguf_pytorch_utils

import models.llm.language_model as language_model


def test_reading_a_gguf_file_draws_no_bar(capfd: pytest.CaptureFixture[str]) -> None:
    assert language_model.modeling_gguf_pytorch_utils is modeling_gguf_pytorch_utils
    assert [*modeling_gguf_pytorch_utils.tqdm([1, 2], desc="Converting and de-quantizing GGUF tensors...")] == [1, 2]
    assert capfd.readouterr().err == ""
