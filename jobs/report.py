"""Writes an HTML page that compares the newest results with the previous ones and shows what changed."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from jinja2 import Environment
from markupsafe import Markup
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from jobs.intake.summary import intake_table
from jobs.page.codes import bucket_examples, changes_by_night, code_figures, moved_items, refit_state
from jobs.page.figures import alignment_losses, training_curves, verdict_scores
from lake.command import main
from lake.declaration import Job
from lake.published import Night
from lake.run import Run
from models.llm.judges import meaning_of
from models.ranker.baselines import BASELINES
from schemas.files import packaged_text
from schemas.tables import ITEM_PAIRS, ITEMS, METRICS, PUBLISHED, RUNS, SEMANTIC_IDS, SID_CHANGES

log = logging.getLogger("qarm")

SCORE_BINS = 30


def latest_two(metrics: DataFrame) -> dict[tuple[str, str], list[float | None]]:
    """The newest and the previous value of every metric. Driver memory: two rows per metric and slice."""
    newest = Window.partitionBy("name", "slice").orderBy(F.col("created_at").desc(), F.col("run_id").desc())
    rows = metrics.withColumn("age", F.row_number().over(newest)).where("age <= 2").orderBy("age").collect()
    values: dict[tuple[str, str], list[float | None]] = {}
    for row in rows:
        values.setdefault((row["name"], row["slice"]), []).append(row["value"])
    return values


def what_changed(runs: DataFrame) -> list[dict[str, Any]]:
    """Each job's newest successful run, with its duration and the changes since the previous successful run."""
    newest = Window.partitionBy("job").orderBy(F.col("ended_at").desc())
    rows = (
        runs.where("status = 'done'")
        .withColumn("age", F.row_number().over(newest))
        .where("age <= 2")
        .orderBy("age")
        .collect()
    )
    jobs: dict[str, list[Any]] = {}
    for row in rows:
        jobs.setdefault(row["job"], []).append(row)
    table = []
    for job, found in jobs.items():
        now, before = found[0], found[1] if len(found) > 1 else None
        table.append(
            {
                "job": job,
                "ended_at": now["ended_at"],
                "seconds": (now["ended_at"] - now["started_at"]).total_seconds(),
                "changed": "first run" if before is None else ", ".join(_differences(now, before)) or "nothing",
            }
        )
    return sorted(table, key=lambda row: row["ended_at"])


def newest_intake(runs: DataFrame) -> list[tuple[str, str]]:
    """What the newest successful run of ingest took and rejected, see :func:`jobs.intake.summary.intake_table`."""
    newest = runs.where("job = 'ingest' AND status = 'done'").orderBy(F.col("ended_at").desc()).limit(1).collect()
    return intake_table(newest[0]["metrics"]) if newest else []


def _differences(now: Any, before: Any) -> list[str]:
    seen = (before["input_versions"], before["output_versions"])  # a version that the job wrote itself is no change
    names = [n for n, v in sorted(now["input_versions"].items()) if all(versions.get(n) != v for versions in seen)]
    settings = ["settings"] if now["settings_hash"] != before["settings_hash"] else []
    code = (
        [f"code {before['code_version']} -> {now['code_version']}"]
        if now["code_version"] != before["code_version"]
        else []
    )
    return [*settings, *code, *(name.rsplit("/", 1)[-1] for name in names)]


def nightly_baselines() -> list[str]:
    """Names of the baselines that every nightly measures."""
    return [name for name, baseline in BASELINES.items() if baseline.nightly]


def title_of(model: str) -> str:
    """The name of a trained model on the page."""
    return BASELINES[model].title if model in BASELINES else "ranker"


def comparison(values: dict[tuple[str, str], list[float | None]], tasks: list[str]) -> list[dict[str, Any]]:
    """Metrics of the ranker and of its baselines, one row per task, slice and metric."""
    table = []
    for task in tasks:
        after = sorted({slice for name, slice in values if name == f"{task}.auc" and slice.startswith("test/after_")})
        for slice in ("test", "test/cold_items", "test/known_items", *after, "valid"):
            for metric in ("auc", "gauc", "uauc"):
                name = f"{task}.{metric}"
                now = values.get((name, slice), [None])
                table.append(
                    {
                        "task": task,
                        "slice": slice,
                        "metric": metric.upper(),
                        "ranker": now[0],
                        "change": difference(now),
                        "baselines": [
                            values.get((f"{name}.{other}", slice), [None])[0] for other in nightly_baselines()
                        ],
                    }
                )
    return table


def difference(values: list[float | None]) -> float | None:
    """The newest value minus the previous one; None if one of them is missing."""
    if len(values) < 2 or values[0] is None or values[1] is None:
        return None
    return values[0] - values[1]


def headline(values: dict[tuple[str, str], list[float | None]], tasks: list[str]) -> list[dict[str, Any]]:
    """The most important numbers, with a word that tells whether they are better than in the previous run."""
    chosen = [(f"{task} AUC, test", (f"{task}.auc", "test"), 1) for task in tasks]
    chosen += [(f"{task} GAUC, test", (f"{task}.gauc", "test"), 1) for task in tasks]
    chosen += [
        ("share of contents that collide", ("codes.collision_rate", "distinct_contents"), -1),
        ("contents found at rank 1", ("codes.hr@1", "distinct_contents"), 1),
        ("reconstruction error", ("codes.reconstruction_error", "distinct_contents"), -1),
    ]
    cards = []
    for title, key, better in chosen:
        found = values.get(key, [None])
        change = difference(found)
        word = "" if change is None else "same" if abs(change) < 1e-9 else "better" if change * better > 0 else "worse"
        cards.append({"title": title, "value": found[0], "change": change, "word": word})
    return cards


def publication(nights: Sequence[Night], current: Night | None) -> dict[str, Any]:
    """Whether readers see the newest night, in words, and why not.

    Args:
        nights: all nights that were judged, oldest first.
        current: the night that readers see.
    """
    newest = nights[-1]
    seen = "no night yet" if current is None else f"night {current.run_id}"
    if newest == current:
        return {"word": "better", "text": f"Published: readers see this night, {newest.run_id}.", "reasons": []}
    what, _, reasons = newest.verdict.partition(": ")
    return {
        "word": "worse",
        "text": f"{what.capitalize()}: readers do not see the newest night, {newest.run_id}; they see {seen}.",
        "reasons": reasons.split("; ") if reasons else [],
    }


def verdict_figure(pairs: DataFrame) -> Markup | None:
    """Histogram of the judge's scores, which Spark counts; None if no pair was judged."""
    judged = pairs.where("judge_score IS NOT NULL")
    low, high = judged.agg(F.min("judge_score"), F.max("judge_score")).collect()[0]
    if low is None:
        return None
    width = (high - low) / SCORE_BINS or 1.0
    place = F.least(F.floor((F.col("judge_score") - low) / width), F.lit(SCORE_BINS - 1)).cast("int")
    counts = {
        (r["bin"], r["verdict"]): r["count"] for r in judged.groupBy(place.alias("bin"), "verdict").count().collect()
    }
    edges = [low + i * width for i in range(SCORE_BINS)]
    kept, rejected = ([counts.get((i, verdict), 0) for i in range(SCORE_BINS)] for verdict in ("keep", "reject"))
    return Markup(verdict_scores(edges, kept, rejected))


def alignment_figure(run: Run) -> Markup | None:
    """Losses of the current aligned model; None if ``align.steps`` is 0."""
    artifact = run.latest("aligned_model") if run.settings.align.steps else None
    if artifact is None:
        return None
    losses = artifact.card["losses"]
    return Markup(alignment_losses(losses["contrastive"], losses["answers"]))


def judge_in_words(pairs: DataFrame) -> dict[str, str]:
    """The name of the judge and the meaning of its scores."""
    row = pairs.where("judge IS NOT NULL").select("judge").limit(1).collect()
    name = row[0]["judge"] if row else ""
    return {"judge": name, "judge_words": meaning_of(name)}


def pair_examples(pairs: DataFrame, items: DataFrame, verdict: str, best_first: bool) -> list[Any]:
    """Ten judged pairs with the texts of their items.

    Args:
        pairs: ``item_pairs``.
        items: item_id, text.
        verdict: keep or reject.
        best_first: whether the highest or the lowest scores are shown.
    """
    order = F.col("judge_score").desc() if best_first else F.col("judge_score").asc()
    chosen = pairs.where(F.col("verdict") == verdict).orderBy(order, "trigger_item_id", "target_item_id").limit(10)
    for side in ("trigger", "target"):
        title = items.select(F.col("item_id").alias(f"{side}_item_id"), F.col("text").alias(side))
        chosen = chosen.join(title, f"{side}_item_id", "left")
    return chosen.select("trigger", "target", "score", "support", "judge_score").orderBy(order).collect()


def steps(run: Run) -> None:
    """Writes the page to ``<warehouse>/reports/<run_id>.html`` and to ``<warehouse>/report.html``."""
    tasks = run.settings.ranking.task_names
    run.version(PUBLISHED.name)
    values = latest_two(run.read(METRICS.name))
    runs, pairs, codes = (run.read(name) for name in (RUNS.name, ITEM_PAIRS.name, SEMANTIC_IDS.name))
    text = F.concat_ws(", ", "title", "category", F.array_join(F.map_values("attributes"), ", "))
    items = run.read(ITEMS.name).select("item_id", "content_hash", text.alias("text"))
    changes = run.read(SID_CHANGES.name)
    curves = run.use("ranker", "train_ranker").card["curves"]
    with run.step("draw"):
        context = {
            "run_id": run.run_id,
            "written_at": run.started_at,
            "warehouse": run.lake.location,
            "publication": publication(run.lake.published.nights(), run.lake.published.current()),
            "headline": headline(values, tasks),
            "comparison": comparison(values, tasks),
            "baselines": [BASELINES[name] for name in nightly_baselines()],
            "users": [
                (
                    task,
                    values.get((f"{task}.users", "test"), [None])[0],
                    values.get((f"{task}.users_left_out", "test"), [None])[0],
                )
                for task in tasks
            ],
            "intake": newest_intake(runs),
            "runs": what_changed(runs),
            "training": Markup(training_curves({title_of(name): curve["points"] for name, curve in curves.items()})),
            "verdicts": verdict_figure(pairs),
            **judge_in_words(pairs),
            "alignment": alignment_figure(run),
            "kept": pair_examples(pairs, items, "keep", best_first=True),
            "rejected": pair_examples(pairs, items, "reject", best_first=False),
            "buckets": bucket_examples(codes, items),
            "nights": changes_by_night(changes),
            "moved": moved_items(changes, items),
            "refit": refit_state(run, values),
            "metrics": sorted((name, slice, found[0], difference(found)) for (name, slice), found in values.items()),
            **code_figures(run, codes),
        }
    page = render(context)
    for url in (f"{run.lake.warehouse.root}/reports/{run.run_id}.html", f"{run.lake.warehouse.root}/report.html"):
        run.lake.files.write_text(url, page)
    log.info("report: %s/report.html", run.lake.warehouse.root)


def render(context: dict[str, Any]) -> str:
    """The HTML of the page; all texts from the data are escaped."""
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["number"] = lambda value, digits=4: "–" if value is None else f"{value:,.{digits}f}"
    environment.filters["signed"] = lambda value, digits=4: "–" if value is None else f"{value:+,.{digits}f}"
    environment.filters["figure"] = lambda value: (
        "–" if value is None else f"{value:,.0f}" if float(value).is_integer() else f"{value:,.4f}"
    )
    template = packaged_text("jobs", "page", "report.html.j2")
    return environment.from_string(template).render(context)


JOB = Job(
    name="report",
    steps=steps,
    sections=("ranking", "align"),
    reads=("metrics", "items", "item_pairs", "semantic_ids", "sid_changes", "published"),
    uses=("codebook", "ranker"),
    consults=("runs", "aligned_model"),
    after=("evaluate",),
)

if __name__ == "__main__":
    raise SystemExit(main(JOB))
