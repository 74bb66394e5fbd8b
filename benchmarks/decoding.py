"""Speed, memory and multiplications of the retriever's decoding, by the size of the catalogue.

python -m benchmarks.decoding
"""

from __future__ import annotations

import time
from dataclasses import replace
from statistics import median

import numpy as np
import pyarrow as pa
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks._memory import PeakMemory
from benchmarks._table import write_table
from models.quantize.method import default_bits
from models.retriever.catalogue import Catalogue
from models.retriever.histories import UserHistories
from models.retriever.items import ItemRule, items_of
from models.retriever.network.network import Retriever as Network
from models.retriever.network.shape import RetrieverShape
from models.retriever.serving import Retriever
from models.retriever.tree import CodeTree
from schemas.parameters import take
from schemas.settings import load_settings

BEAM, USERS, EVENTS, TURNS = 50, 256, 300, 3
DAY, NOW = 86_400, 20_000 * 86_400
CATALOGUES = (30_000, 100_000, 1_000_000)
COUNTED = 32
"""Users whose multiplications are counted."""


def made(items: int, **changes: object) -> Retriever:
    """A retriever of the default settings with random weights, over as many items; three share a code, about."""
    settings = load_settings().retriever
    contents = items // 3
    size = 2 ** default_bits(contents)
    generator = np.random.default_rng(0)
    # Codes of a level are as uneven as those of Complete Journey: half of its items lie in a tenth of the codes.
    levels = [(size * generator.random(contents) ** 3).astype(np.int32) for _ in range(3)]
    sids = np.stack(levels, axis=1)[generator.integers(0, contents, items)]
    popularity = generator.pareto(1.2, items).astype(np.float32)
    known = Catalogue.of(pa.array(np.arange(items).astype(str)), sids, popularity=popularity)
    shape = take(RetrieverShape, settings, codes=[size] * 3, actions=1, contrastive=False)
    shape = replace(shape, **changes)
    torch.manual_seed(0)
    network = Network(shape, CodeTree.of(known.codes, shape.prefix_rows)).eval().requires_grad_(False)
    return Retriever(network, known, ["purchase"])


def histories(items: int, users: int) -> UserHistories:
    """Users with :data:`EVENTS` events in a year, half of them on items that they take again and again."""
    generator = np.random.default_rng(1)
    user = np.repeat(np.arange(users), EVENTS)
    own = generator.integers(0, items, (users, EVENTS // 10))
    again = np.take_along_axis(own, generator.integers(0, EVENTS // 10, (users, EVENTS)), 1).ravel()
    item = np.where(generator.random(len(user)) < 0.5, again, generator.integers(0, items, len(user)))
    time_of = NOW - generator.integers(1, 365 * DAY, len(user))
    return UserHistories.of(user, item.astype(np.int32), time_of, now=np.full(users, NOW))


def speed(retriever: Retriever, of: UserHistories) -> tuple[float, float]:
    """Users a second, of codes alone and of the items by the rule too; medians of turns."""
    rule = take(ItemRule, load_settings().retriever.items)
    seconds: list[tuple[float, float]] = []
    for _ in range(TURNS):
        start = time.perf_counter()
        generated = retriever.generate(of, beam=BEAM)
        codes = time.perf_counter() - start
        items_of(generated, of, retriever.catalogue, rule, most=BEAM)
        seconds.append((codes, time.perf_counter() - start))
    assert (generated.codes >= 0).all()
    return of.users / median(codes for codes, _ in seconds), of.users / median(both for _, both in seconds)


def multiplications(retriever: Retriever, of: UserHistories) -> float:
    """Multiplications by which a user's history is read, in millions.

    Torch counts those of the encoder and of the keys and values; those of cross attention are two products of every
    query with every vector of the memory, for the first token and the beams of the later levels.
    """
    network, shape = retriever.network, retriever.network.shape
    batch = retriever.batch_of(of)
    with FlopCounterMode(display=False) as counter:
        encoded = network.encode(batch)
    queries = 1 + BEAM * (network.tree.levels - 1)
    cross = 2 * shape.dim * shape.layers * queries * encoded.valid.shape[-1]
    return (counter.get_total_flops() / 2 / of.users + cross) / 1e6


def main() -> None:
    """Measures each catalogue in turn and writes two tables."""
    torch.set_num_threads(2)
    rows = []
    for items in CATALOGUES:
        retriever, of = made(items), histories(items, USERS)
        retriever.generate(of.take(np.arange(8)), beam=BEAM)
        with PeakMemory(0.05) as memory:
            codes, both = speed(retriever, of)
        known = retriever.catalogue
        widest = max(int(of_level.diff().max()) for of_level in retriever.network.tree.children)
        figures = [f"{codes:,.0f}", f"{both:,.0f}", f"{memory.gigabytes:.2f}"]
        rows.append([f"{items:,}", f"{len(known.codes):,}", str(widest), *figures])
    note = (
        f"A beam of {BEAM} for {USERS} users with {EVENTS} events each, on two threads, medians of {TURNS} turns;"
        " random weights of the default settings, generated codes. Every beam is a code that exists. Target: 100"
        " users a second at Complete Journey's size, the first row. Codes alone, and with items by the scored rule."
    )
    header = ["items", "codes", "widest node", "users a second, codes", "users a second, items", "peak GiB"]
    write_table("Decoding of semantic IDs", "python -m benchmarks.decoding", header, rows, note=note)
    few = histories(CATALOGUES[0], COUNTED)
    counted = {name: multiplications(made(CATALOGUES[0], queries=q), few) for name, q in (("10", 10), ("none", 0))}
    table = [
        [queries, f"{count:.1f}", f"{counted['none'] / count:.1f}"] for queries, count in counted.items()
    ]  # fmt: skip
    note = (
        f"Multiplications by which one user's history of {EVENTS} events is read for a beam of {BEAM}, at the default"
        " lengths (288 events of three behaviours): encoder, and the decoder's cross attention. Without queries, the"
        " decoder attends to all events. Target: 3 times fewer."
    )
    header = ["queries of a behaviour", "million multiplications", "times fewer"]
    write_table("Query-Former: multiplications", "python -m benchmarks.decoding", header, table, note=note)


if __name__ == "__main__":
    main()
