"""Retrievers of the benchmark of lists: trained on a log in memory, by default settings and with parts changed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks._retriever_data import Log
from benchmarks._text_vectors import text_vectors
from models.quantize.methods import method_of
from models.retriever.background import Background
from models.retriever.catalogue import Catalogue
from models.retriever.histories import DAY, HistoryShape, UserHistories
from models.retriever.items import ItemRule
from models.retriever.moments import MomentParameters, moments_of, rows_of
from models.retriever.network.network import Retriever as Network
from models.retriever.network.shape import RetrieverShape
from models.retriever.saved import save_network
from models.retriever.serving import Retriever
from models.retriever.training.starts import tokens_from
from models.retriever.training.training import RetrieverParameters, RetrieverTraining
from models.retriever.tree import CodeTree
from models.retriever.writer import Writer
from models.training_state import Checkpoints
from models.world import World
from schemas.names import SID_COLUMNS
from schemas.parameters import take
from schemas.settings import Settings, load_settings

VALID_DAYS = 14
"""Days before the end of the fit on which the best weights are chosen."""
LIKE_POPULARITY = 50
"""The control permutes codes among so many items that follow each other by popularity."""
WIDE = 200
"""Codes that a retriever writes for each user where its list stands alone: its first 100 contents are measured."""
RECORD = "record.json"


@dataclass(frozen=True)
class Generator:
    """A retriever of the benchmark.

    Attributes:
        title: name in tables.
        changes: changes of the default settings.
        shuffled: whether codes are permuted among items of like popularity.
    """

    title: str
    changes: Sequence[str] = ()
    shuffled: bool = False


PLAIN = ("retriever.experts=1", "retriever.queries=0", "retriever.copies=false", "codebook.method=res_kmeans")
GENERATORS = {
    "generator": Generator("generator (OneMall)"),
    "no_mixture": Generator("generator without a mixture of experts", ["retriever.experts=1"]),
    "no_query_former": Generator("generator without Query-Former", ["retriever.queries=0"]),
    "no_copies": Generator("generator without copy mechanism", ["retriever.copies=false"]),
    "tiger": Generator("generator, plain (TIGER's form)", PLAIN),
    "shuffled": Generator("generator, codes shuffled (control)", shuffled=True),
}
OF_DATA = {"complete_journey": (), "ml_100k": ("retriever.visit_minutes=0.01",)}
"""On MovieLens a user rates films for an hour and never again, so each second with ratings is a visit."""


@dataclass(frozen=True)
class Trained:
    """A trained retriever and the record of its training: seconds, and the figures of the best validation."""

    writer: Writer
    record: Mapping[str, float]


def trained(data: str, log: Log, name: str, *, until: int, seed: int, folder: Path) -> Trained:
    """Trains a retriever of :data:`GENERATORS` on what came before a moment; one that is in the folder is read.

    Args:
        data: name of the data set.
        log: the log.
        name: name of the retriever.
        until: seconds since 1970.
        seed: seed of the weights and of the order of rows.
        folder: folder of all retrievers.
    """
    of = GENERATORS[name]
    settings = load_settings((), [*OF_DATA[data], *of.changes])
    key = json.dumps([settings.retriever.model_dump(mode="json"), settings.codebook.method, of.shuffled, until])
    place = folder / f"{data}_{name}_{sha256(key.encode()).hexdigest()[:8]}_{seed}"
    if not place.exists():
        half = place.with_suffix(".partial")
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir(parents=True)
        _train(log, of, settings, until=until, seed=seed, folder=half, vectors=content_vectors(data, log, folder))
        half.rename(place)
    items, chosen = log.all.items, settings.retrieve
    rule, most = take(ItemRule, settings.retriever.items), chosen.candidates["generator"]
    writer = Writer(
        Retriever.load(place), np.arange(items, dtype=np.int32), np.zeros(1, np.int8), rule, chosen.beam, most
    )
    return Trained(writer, json.loads((place / RECORD).read_text(encoding="utf-8")))


def alone(writer: Writer) -> Writer:
    """The retriever as a list of its own: more codes, and all items of them."""
    return replace(writer, beam=WIDE, most=WIDE * writer.rule.items_per_code)


def content_vectors(data: str, log: Log, folder: Path) -> NDArray[np.float32]:
    """Vectors of the contents' texts."""
    file = folder / f"{data}_vectors.npy"
    if not file.exists():
        np.save(file, text_vectors(log.texts))
    found: NDArray[np.float32] = np.load(file)
    return found


def _train(
    log: Log, of: Generator, settings: Settings, *, until: int, seed: int, folder: Path, vectors: NDArray[np.float32]
) -> None:
    """Fits the codebook, trains the retriever and writes both with the record to a folder."""
    known, chosen = log.all.before(until), settings.retriever
    book = method_of(settings.codebook).fit(vectors)
    popularity = known.popularity(chosen.popularity_days)
    sids = book.assign(vectors)[known.content][:, : len(SID_COLUMNS)]
    if of.shuffled:
        sids = sids[_among_like(popularity)]
    names = pa.array(np.arange(known.items).astype(str))
    catalogue = Catalogue.of(names, np.ascontiguousarray(sids), known.content, popularity)
    shape = take(RetrieverShape, chosen, codes=book.sizes[: len(SID_COLUMNS)], actions=1, contrastive=False)
    valid_from = until - int(VALID_DAYS * DAY)
    first = int(known.histories.time.min())
    train = _rows(known, catalogue, shape.histories, settings, period=(first, valid_from), most=chosen.moments)
    valid = _rows(known, catalogue, shape.histories, settings, period=(valid_from, until), most=chosen.valid_moments)
    torch.manual_seed(seed)
    network = Network(shape, CodeTree.of(catalogue.codes, shape.prefix_rows))
    if chosen.tokens == "codebook" and not of.shuffled:
        book.save(folder)
        tokens_from(network, folder)
    parameters = take(RetrieverParameters, chosen, seed=seed)
    steps = -(-len(train["target_code"]) // chosen.batch_size)
    training = RetrieverTraining(network, steps, parameters, name="retriever", world=World())
    record = training.fit(
        lambda epoch: _batches(train, chosen.batch_size, np.random.default_rng([seed, epoch])),
        lambda: _batches(valid, chosen.batch_size, None),
        checkpoints=Checkpoints(folder / "checkpoint"),
        goes_on=False,
    )
    (folder / "checkpoint").unlink(missing_ok=True)
    save_network(network, folder, ["take"])
    catalogue.save(folder)
    best = next(point for point in record.points if point["step"] == record.best_step)
    figures = {**best, "seconds": record.seconds, "moments": len(train["target_code"]), "codes": len(catalogue.codes)}
    (folder / RECORD).write_text(json.dumps(figures), encoding="utf-8")


def _among_like(popularity: NDArray[np.float32]) -> NDArray[np.int64]:
    """For each item the item whose code it gets: one of like popularity, drawn."""
    draw = np.random.default_rng(0)
    order = np.lexsort((draw.random(len(popularity)), popularity))
    given = np.empty(len(order), np.int64)
    for start in range(0, len(order), LIKE_POPULARITY):
        alike = order[start : start + LIKE_POPULARITY]
        given[alike] = draw.permutation(alike)
    return given


def _rows(
    known: Background,
    catalogue: Catalogue,
    shape: HistoryShape,
    settings: Settings,
    *,
    period: tuple[int, int],
    most: int,
) -> dict[str, Tensor]:
    """The rows of the visits that begin in a period, as :func:`udfs.moments.build_moments` makes them."""
    own, chosen = known.histories, settings.retriever
    inside = (own.time >= period[0]) & (own.time < period[1])
    visits = len(np.unique(own.user[inside] * 2**20 + own.time[inside] // int(DAY)))
    parameters = take(
        MomentParameters, chosen, visit_gap=int(chosen.visit_minutes * 60), share=min(1.0, most / max(visits, 1)),
        begin=period[0], end=period[1],
    )  # fmt: skip
    keys = pd.util.hash_array(np.arange(own.users))
    code = catalogue.item_code[own.item]
    made: list[dict[str, Any]] = []
    for user, (start, stop) in enumerate(zip(own.offsets[:-1], own.offsets[1:], strict=True)):
        time = own.time[start:stop]
        if not len(time):
            continue
        events = UserHistories.of(np.zeros(len(time), np.int64), code[start:stop], time, now=time[-1:] + 1)
        moments = moments_of(int(keys[user]), events.time, events.item, parameters)
        if len(moments.first):
            made += rows_of(events, moments, shape, chosen.history_events)
    return {name: torch.from_numpy(np.concatenate([rows[name] for rows in made])) for name in made[0]}


def _batches(rows: Mapping[str, Tensor], size: int, draw: np.random.Generator | None) -> Iterator[dict[str, Tensor]]:
    count = len(rows["target_code"])
    order = torch.from_numpy(np.arange(count) if draw is None else draw.permutation(count))
    for start in range(0, count, size):
        yield {name: values[order[start : start + size]] for name, values in rows.items()}


def figures_of(record: Mapping[str, float]) -> list[str]:
    """Cells of the table of trainings: minutes, moments, distinct codes, and the best validation's figures."""
    names = ("valid_loss", "hit_rate_10", "hit_rate_50", "uneven")
    whole = [f"{record['seconds'] / 60:.1f}", f"{record['moments']:,.0f}", f"{record['codes']:,.0f}"]
    return [*whole, *(f"{record[name]:.4f}" for name in names)]
