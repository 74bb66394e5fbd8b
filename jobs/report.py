"""Writes an HTML page that compares the newest results with the previous ones and shows what changed."""

from __future__ import annotations

import logging
from typing import Any

from jinja2 import Environment
from markupsafe import Markup
from pyspark.sql import functions as F

from jobs.page.codes import bucket_examples, changes_by_night, code_figures, moved_items, refit_state
from jobs.page.figures import alignment_losses, training_curves
from jobs.page.metrics import comparison, difference, headline, latest_two, nightly_baselines, title_of
from jobs.page.nights import newest_intake, publication, what_changed
from jobs.page.pairs import judge_in_words, pair_examples, verdict_figure
from lake.command import main
from lake.declaration import Job
from lake.run import Run
from models.ranker.baselines import BASELINES
from schemas.files import packaged_text
from schemas.tables import ITEM_PAIRS, ITEMS, METRICS, PUBLISHED, RUNS, SEMANTIC_IDS, SID_CHANGES

log = logging.getLogger("qarm")


def alignment_figure(run: Run) -> Markup | None:
    """Losses of the current aligned model; None if ``align.steps`` is 0."""
    artifact = run.latest("aligned_model") if run.settings.align.steps else None
    if artifact is None:
        return None
    losses = artifact.card["losses"]
    return Markup(alignment_losses(losses["contrastive"], losses["answers"]))


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
