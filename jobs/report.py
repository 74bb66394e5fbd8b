"""Writes an HTML page: whether the night is better, the same or worse, and pictures that show where."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.page.codes import (
    bucket_sizes,
    changes_by_night,
    code_use,
    collisions_by_night,
    contents_of,
    crowded_prefixes,
    moved_contents,
    refit_state,
)
from jobs.page.history import History, all_numbers, cards, history_of, value_of, verdict_of
from jobs.page.item_map import map_figure, places_of, sample_of
from jobs.page.nights import intake_figures, jobs_table, last_runs, newest_intake, publication, time_figure
from jobs.page.page import render
from jobs.page.pairs import judge_in_words, pair_examples, verdict_figure
from jobs.page.quality import (
    alignment_figure,
    breakdown_figures,
    comparison,
    nightly_baselines,
    quality_by_night,
    training_figures,
)
from jobs.page.words import first_codes
from lake.command import main
from lake.declaration import Job
from lake.run import Run
from lake.side_by_side import side_by_side
from models.ranker.baselines import BASELINES
from schemas.tables import ITEM_EMBEDDINGS, ITEM_PAIRS, ITEMS, METRICS, PUBLISHED, RUNS, SEMANTIC_IDS, SID_CHANGES

log = logging.getLogger("qarm")


def on_ranker(run: Run, history: History, tasks: Sequence[str]) -> dict[str, Any]:
    """What the page says about the ranker."""
    ranker, aligned = run.use("ranker", "train_ranker"), None
    if run.settings.align.steps:
        aligned = run.latest("aligned_model")
    measured = [point.run_id for point in history.get((f"{tasks[0]}.auc", "test"), ())][:2]
    quality = [
        figure
        for task in tasks
        for figure in (quality_by_night(history, task), *breakdown_figures(history, task, measured))
    ]
    return {
        "cards": cards(history, tasks),
        "quality": quality,
        "comparison": comparison(history, tasks),
        "baselines": [BASELINES[name] for name in nightly_baselines()],
        "users": [
            (task, *(value_of(history, f"{task}.{name}", "test") for name in ("users", "users_left_out")))
            for task in tasks
        ],
        "training": training_figures(ranker.card["curves"]),
        "alignment": None if aligned is None else alignment_figure(aligned.card["losses"]),
    }


def on_codes(run: Run, history: History, contents: DataFrame, items: DataFrame) -> dict[str, Any]:
    """What the page says about semantic IDs, except the map and what the first codes hold."""
    codebook, changes = run.use("codebook", "fit_codebook"), run.read(SID_CHANGES.name)
    moved, all_moved = moved_contents(changes, items)
    return {
        "code_figures": [
            collisions_by_night(history), bucket_sizes(contents), code_use(contents, codebook.card["sizes"]),
        ],
        "crowded": crowded_prefixes(contents),
        "changes": [
            [f"version {row.table_version}", f"{row.changed_at:%Y-%m-%d %H:%M}", *row[2:]]
            for row in changes_by_night(changes)
        ],
        "moved": moved,
        "all_moved": all_moved,
        "refit": refit_state(run, history),
    }  # fmt: skip


def on_pairs(run: Run, items: DataFrame) -> dict[str, Any]:
    """What the page says about item pairs."""
    pairs = run.read(ITEM_PAIRS.name)
    return {
        "verdicts": verdict_figure(pairs),
        **judge_in_words(pairs),
        "kept": pair_examples(pairs, items, "keep", best_first=True),
        "rejected": pair_examples(pairs, items, "reject", best_first=False),
    }


def on_runs(run: Run, history: History, night_before: str) -> dict[str, Any]:
    """What the page says about input, time and cost."""
    cores = run.spark.sparkContext.defaultParallelism
    ran = last_runs(run.read(RUNS.name))
    table = jobs_table(ran, night_before, cores)
    return {
        "intake": newest_intake(ran),
        "intake_figures": intake_figures(history),
        "times": time_figure(table),
        "jobs": [
            [row["job"], f"{row['ended_at']:%Y-%m-%d %H:%M}", row["changed"], round(row["seconds"], 1),
             None if row["before"] is None else round(row["before"], 1), row["core_hours"]]
            for row in table
        ],
        "cores": cores,
    }  # fmt: skip


def steps(run: Run) -> None:
    """Writes the page to ``<warehouse>/reports/<run_id>.html`` and to ``<warehouse>/report.html``.

    Executor memory: a row per content, on disk if need be. Driver memory: ``report.nights`` rows per metric and slice,
    and ``report.map_contents`` embeddings and titles.
    """
    tasks = run.settings.ranking.task_names
    run.version(PUBLISHED.name)
    nights, current = run.lake.published.nights(), run.lake.published.current()
    newest, before = nights[-1].run_id, nights[-2].run_id if len(nights) > 1 else ""
    text = F.concat_ws(", ", "title", "category", F.array_join(F.map_values("attributes"), ", ")).alias("text")
    items = run.read(ITEMS.name).select("item_id", "content_hash", "title", "category", text)
    with run.step("read metrics"):
        history = history_of(run.read(METRICS.name), run.settings.report.nights)
    context = {
        "run_id": newest,
        "written_at": run.started_at,
        "warehouse": run.lake.location,
        "verdict": verdict_of(history, tasks, before),
        "publication": publication(nights, current),
        "metrics": all_numbers(history),
    }
    codebook = run.use("codebook", "fit_codebook")
    codes = run.read(SEMANTIC_IDS.name).where(F.col("codebook_version") == codebook.version)
    with run.step("look at items"):
        contents = contents_of(codes, items.select("item_id", "title", "category")).persist()
        chosen = sample_of(contents, run.read(ITEM_EMBEDDINGS.name), run.settings.report.map_contents)
        sample = [row.asDict() for row in chosen.collect()]
    with run.step("look at codes, the ranker, pairs and runs, and make the map"):
        plane, words, *found = side_by_side(
            run.spark,
            lambda: places_of(sample),
            lambda: first_codes(contents),
            lambda: on_codes(run, history, contents, items),
            lambda: on_ranker(run, history, tasks) | on_runs(run, history, before),
            lambda: on_pairs(run, items),
        )
    contents.unpersist()
    for part in found:
        context |= part
    context |= {"first_codes": [*words.values()], "map": map_figure(sample, plane, words)}
    page = render(context)
    for url in (f"{run.lake.warehouse.root}/reports/{run.run_id}.html", f"{run.lake.warehouse.root}/report.html"):
        run.lake.files.write_text(url, page)
    log.info("report: %s/report.html", run.lake.warehouse.root)


JOB = Job(
    name="report",
    steps=steps,
    sections=("ranking", "align", "report"),
    reads=("metrics", "items", "item_pairs", "item_embeddings", "semantic_ids", "sid_changes", "published"),
    uses=("codebook", "ranker"),
    consults=("runs", "aligned_model"),
    after=("evaluate",),
)

if __name__ == "__main__":
    raise SystemExit(main(JOB))
