"""Rankers whose user part is computed once by the pass of models/reparameterise, beside three other ways to score.

    python -m benchmarks.mari

A small form: ``python -m benchmarks.mari --rankers DIN --candidates 100 --shares 50 --rounds 3 --print``.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import torch
from torch import nn
from torch.nn.functional import linear

from benchmarks._mari_models import RANKERS, SOURCES, FirstLayer, Tensors, Widths, ranker, request, tiled
from benchmarks._table import write_table
from models.reparameterise.costs import Costs
from models.reparameterise.ranker import ReparameterisedRanker
from models.reparameterise.reparameterise import reparameterise

CANDIDATES, SHARES, ROUNDS = (100, 1_000, 4_000), (25, 50, 75, 90), 11
COLUMNS, EMBEDDING, HISTORY, ITEMS, HIDDEN = 2_048, 16, 50, 10_000, (512, 256)
LAYER, NARROW = "first layer", "narrow first layer"
NARROW_COLUMNS, NARROW_HIDDEN = 512, (256, 128)
FRAGMENTS = 16
READS_TARGET = {"DIN", "transformer"}
"""Rankers whose view of the history varies with the target, so that it is no column of the user's."""
Way = Callable[[Tensors, Tensors], Any]


def widths(name: str, share: int) -> Widths:
    """Widths of a ranker whose first layer has :data:`COLUMNS` columns, about so many percent of them the user's."""
    columns, hidden = (NARROW_COLUMNS, NARROW_HIDDEN) if name == NARROW else (COLUMNS, HIDDEN)
    of_user = columns * share // 100
    rest = columns - of_user - (EMBEDDING if name in READS_TARGET | {"fusion"} else 0)
    fields = max(1, rest // 2 // EMBEDDING)
    of_history = 0 if name in READS_TARGET | {LAYER, NARROW} else EMBEDDING
    return Widths(
        profile=of_user - of_history, user_fields=of_user // EMBEDDING - 1, fields=fields,
        cross=max(1, rest - fields * EMBEDDING), history=HISTORY, embedding=EMBEDDING, items=ITEMS, hidden=hidden,
    )  # fmt: skip


def module_of(name: str, w: Widths) -> nn.Module:
    """A ranker, or a first layer alone."""
    torch.manual_seed(0)
    return FirstLayer(w).eval() if name in {LAYER, NARROW} else ranker(name, w)


def in_turns(ways: Mapping[str, Way], user: Tensors, asked: Tensors, rounds: int) -> dict[str, float]:
    """Milliseconds of CPU time of each way, median over rounds in which they take turns."""
    spent: dict[str, list[float]] = {name: [] for name in ways}
    with torch.inference_mode():
        for turn in range(rounds + 1):
            for name, way in ways.items():
                start = time.thread_time()
                way(user, asked)
                if turn:  # the first only warms up
                    spent[name].append(1e3 * (time.thread_time() - start))
    return {name: median(times) for name, times in spent.items()}


@dataclass(frozen=True)
class Rewritten:
    """A ranker in every form that is measured."""

    module: nn.Module
    user_once: ReparameterisedRanker
    mari: ReparameterisedRanker
    with_table: ReparameterisedRanker
    compiled: Any

    @classmethod
    def of(cls, name: str, w: Widths, candidates: int, compiles: bool) -> Rewritten:
        """Makes all forms of a ranker for so many candidates."""
        module, example = module_of(name, w), tiled(*request(w, 3))

        def made(**settings: Any) -> ReparameterisedRanker:
            return reparameterise(module, example, SOURCES, Costs(candidates=candidates, **settings))

        compiled = torch.compile(module, dynamic=True) if compiles else None
        return cls(module, made(split=False), made(), made(items_once=True), compiled)

    def ways(self, asked: Tensors) -> dict[str, Way]:
        """The ways to score, by name; the table of items is made before."""
        rows = torch.arange(len(asked["target"]))
        with torch.inference_mode():
            table = self.with_table.of_items(asked)
        found: dict[str, Way] = {"tiled": lambda user, asked: self.module(**tiled(user, asked)), "once": self.user_once}
        if self.compiled is not None:
            found["compiled"] = lambda user, asked: self.compiled(**tiled(user, asked))
        found["mari"] = self.mari
        found["table"] = lambda user, asked: self.with_table.with_table(user, asked, table, rows)
        return found


def measured(name: str, share: int, candidates: int, options: argparse.Namespace) -> list[str]:
    """One row of the table."""
    w = widths(name, share)
    forms = Rewritten.of(name, w, candidates, options.compile)
    user, asked = request(w, candidates)
    ways = forms.ways(asked)
    with torch.inference_mode():
        theirs = ways["tiled"](user, asked)
        difference = max(float((way(user, asked) - theirs).abs().max()) for way in ways.values())
        difference /= max(1.0, float(theirs.abs().max()))
    assert difference < 1e-5, (name, difference)
    times, card = in_turns(ways, user, asked, options.rounds), forms.mari.card
    fewer = card.before / card.after
    faster = times["tiled"] / times["mari"]
    compiled = f"{times['compiled']:.2f}" if "compiled" in times else "not run"
    return [
        name, f"{share} %", f"{candidates:,}", f"{times['tiled']:.2f}", f"{times['once']:.2f}", compiled,
        f"{times['mari']:.2f}", f"{times['table']:.2f}", f"{card.before / 1e6:,.1f}", f"{card.after / 1e6:,.1f}",
        f"{fewer:.2f}", f"{faster:.2f}", f"{faster / fewer:.0%}", f"{times['once'] / times['mari']:.2f}",
        f"{difference:.0e}",
    ]  # fmt: skip


def one_by_one(module: FirstLayer) -> Way:
    """The split layer without repacking: a product for each fragment, the user's with one row."""

    def way(user: Tensors, asked: Tensors) -> torch.Tensor:
        pieces = module.pieces(user["profile"], asked["target"], asked["cross"])
        total: torch.Tensor | None = None
        start = 0
        for piece in pieces:
            product = linear(piece, module.layer.weight[:, start : start + piece.shape[1]])
            total = product if total is None else total + product
            start += piece.shape[1]
        assert total is not None
        return total + module.layer.bias

    return way


def fragmented(share: int, candidates: int, rounds: int) -> list[str]:
    """One row of the table of fragments."""
    w = replace(widths(LAYER, share), embedding=EMBEDDING)
    user, asked = request(w, candidates)
    torch.manual_seed(0)
    neat, apart = FirstLayer(w).eval(), FirstLayer(w, FRAGMENTS).eval()
    costs, example = Costs(candidates=candidates), tiled(*request(w, 3))
    repacked = reparameterise(apart, example, SOURCES, costs)
    ways: dict[str, Way] = {
        "tiled": lambda user, asked: apart(**tiled(user, asked)),
        "neat": reparameterise(neat, example, SOURCES, costs),
        "repacked": repacked,
        "apart": one_by_one(apart),
    }
    with torch.inference_mode():
        torch.testing.assert_close(ways["apart"](user, asked), repacked(user, asked), atol=1e-4, rtol=0)
    times = in_turns(ways, user, asked, rounds)
    ratios = [f"{times['tiled'] / times[name]:.2f}" for name in ("neat", "repacked", "apart")]
    return [f"{share} %", f"{candidates:,}", *(f"{ms:.2f}" for ms in times.values()), *ratios]


def main() -> int:
    """Measures the rankers and writes two tables."""
    names = [LAYER, NARROW, *RANKERS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rankers", nargs="+", choices=names, default=names)
    parser.add_argument("--candidates", nargs="+", type=int, default=CANDIDATES)
    parser.add_argument("--shares", nargs="+", type=int, default=SHARES, help="percent of the first layer's columns")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=True, help="measure torch.compile")
    parser.add_argument("--print", action="store_true", help="print the rows and leave docs/benchmarks.md as it is")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for name in options.rankers:
        for share in options.shares:
            torch._dynamo.reset()  # each share is another model; compiled code of the last is not kept
            for candidates in options.candidates:
                rows.append(measured(name, share, candidates, options))
                print(" | ".join(rows[-1]), file=sys.stderr, flush=True)
    apart = [fragmented(share, n, options.rounds) for share in options.shares for n in options.candidates]
    write = _printed if options.print else write_table
    write("MaRI: a user's part once", "python -m benchmarks.mari", HEADER, rows, note=NOTE.format(options.rounds))
    write(
        "MaRI: neat and fragmented columns", "python -m benchmarks.mari", FRAGMENTS_HEADER, apart,
        note=f"A first layer of {COLUMNS:,} columns and {HIDDEN[0]} outputs alone. Fragmented: the user's, the item's"
        f" and the pair's columns are each in {FRAGMENTS} runs that alternate. The pass puts the runs of one kind"
        " together, with their weights; 'run by run' multiplies each run by its own slice of the weights and adds them"
        " up.",
    )  # fmt: skip
    return 0


HEADER = [
    "ranker", "user's columns", "candidates", "user repeated, ms", "user networks once, ms", "torch.compile, ms",
    "MaRI, ms", "MaRI with a table of items, ms", "multiplications, million", "MaRI's, million", "fewer", "faster",
    "gain seen in time", "once / MaRI", "largest difference",
]  # fmt: skip
FRAGMENTS_HEADER = [
    "user's columns", "candidates", "user repeated, ms", "neat, ms", "fragmented, put together, ms",
    "fragmented, run by run, ms", "neat, faster", "put together, faster", "run by run, faster",
]  # fmt: skip
NOTE = (
    "One request of one user on one core, CPU time, median of {} turns in which all ways take turns; random weights."
    f" The first layer has {COLUMNS:,} columns, the layers {' and '.join(map(str, HIDDEN))} outputs, the history"
    f" {HISTORY} events; the narrow one has {NARROW_COLUMNS} columns and {NARROW_HIDDEN[0]} outputs: the less there is"
    " to multiply, the more weighs what a layer reads and writes. User repeated: the ranker as it is trained. User"
    " networks once: what depends on the user alone is computed once and repeated before it meets the candidates."
    " torch.compile: the ranker as it is trained, compiled. MaRI: all of forward, the user's part included. With a"
    " table of items: what depends on the item alone is made before. Fewer, faster: user repeated / MaRI, in"
    " multiplications and in time. 'fusion' has networks of the user, target attention and four experts,"
    " as the paper's ranker. Largest difference: of the logits, relative to the largest of them if that is above 1."
)


def _printed(title: str, command: str, header: Sequence[str], rows: Sequence[Sequence[str]], *, note: str) -> None:
    print(title, note, " | ".join(header), *(" | ".join(row) for row in rows), sep="\n")


if __name__ == "__main__":
    raise SystemExit(main())
