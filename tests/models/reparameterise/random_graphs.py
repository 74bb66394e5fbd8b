"""Random rankers as graphs of the operators that have rules, drawn by hypothesis."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from hypothesis import strategies as st
from torch import fx
from torch.utils._pytree import tree_flatten

from models.reparameterise.colours import Source
from models.reparameterise.program import Program

aten = torch.ops.aten
WIDTH, LENGTH = 4, 3
INPUTS = {
    "user": (Source.USER, (WIDTH,)), "history": (Source.USER, (LENGTH, WIDTH)), "moment": (Source.MOMENT, (2,)),
    "item": (Source.ITEM, (WIDTH,)), "ids": (Source.ITEM, (2,)), "pair": (Source.PAIR, (WIDTH,)),
    "found": (Source.PAIR, (LENGTH, WIDTH)),
}  # fmt: skip
SOURCES = {name: source for name, (source, _) in INPUTS.items()}
Steps = dict[str, Callable[["Drawn"], fx.Node | None]]
STEPS: Steps = {}


@dataclass
class Drawn:
    """A graph while it is drawn; ``pool`` holds its values, all with the rows along axis 0."""

    draw: st.DrawFn
    graph: fx.Graph = field(default_factory=fx.Graph)
    constants: dict[str, torch.Tensor] = field(default_factory=dict)
    pool: list[fx.Node] = field(default_factory=list)
    shapes: dict[fx.Node, tuple[int, ...]] = field(default_factory=dict)
    waiting: list[tuple[str, torch.Tensor]] = field(default_factory=list)

    def pick(self, rank: int | None = None, like: fx.Node | None = None) -> fx.Node | None:
        fit = [
            node for node in self.pool
            if (rank is None or len(self.shapes[node]) == rank - 1)
            and (like is None or self.shapes[node] == self.shapes[like])
        ]  # fmt: skip
        return self.draw(st.sampled_from(fit)) if fit else None

    def number(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))

    def weight(self, *size: int) -> fx.Node:
        name = f"weight_{len(self.constants)}"
        generator = torch.Generator().manual_seed(self.number(0, 5) + len(self.constants))
        self.constants[name] = torch.randn(size, generator=generator, dtype=torch.float64) / size[-1] ** 0.5
        with self.graph.inserting_before(next(iter(self.graph.nodes))):
            return self.graph.placeholder(name)

    def call(self, operator: object, *args: object) -> fx.Node:
        return self.graph.call_function(operator, args)

    def add(self, node: fx.Node, shape: tuple[int, ...]) -> fx.Node:
        self.shapes[node] = shape
        self.pool.append(node)
        return node


def step(function: Callable[[Drawn], fx.Node | None]) -> Callable[[Drawn], fx.Node | None]:
    STEPS[function.__name__] = function
    return function


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """A random ranker: five to fourteen operators on a user, a moment, items and pairs; the last values are results."""
    drawn = Drawn(draw)
    inputs = {}
    for name, (_, shape) in INPUTS.items():
        node = drawn.graph.placeholder(name)
        inputs[node.name] = name
        if name != "ids":
            drawn.add(node, shape)
        else:
            drawn.add(drawn.call(aten.embedding.default, drawn.weight(6, WIDTH), node), (2, WIDTH))
    names = draw(st.lists(st.sampled_from(sorted(STEPS)), min_size=5, max_size=14))
    for name in names:
        node = STEPS[name](drawn)
        # a concatenation is what the pass is about, so most are read by a product or a norm at once
        if name in {"concatenate", "subtract"} and node is not None and drawn.number(0, 2):
            drawn.pool.append(node)
            STEPS["linear"](Drawn(draw, drawn.graph, drawn.constants, [node], drawn.shapes))
    results = [node for node in dict.fromkeys(drawn.pool[-4:]) if node.op != "placeholder"] or [drawn.pool[-1]]
    drawn.graph.output(tuple(results))
    return Program(drawn.graph, drawn.constants, inputs, tree_flatten(tuple(results))[1])


@step
def linear(d: Drawn) -> fx.Node | None:
    x, outputs = d.pick(), d.number(1, 5)
    width = d.shapes[x][-1]
    bias = d.weight(outputs) if d.number(0, 1) else None
    return d.add(d.call(aten.linear.default, x, d.weight(outputs, width), bias), (*d.shapes[x][:-1], outputs))


@step
def matrix(d: Drawn) -> fx.Node | None:
    x, outputs = d.pick(), d.number(1, 5)
    return d.add(d.call(aten.matmul.default, x, d.weight(d.shapes[x][-1], outputs)), (*d.shapes[x][:-1], outputs))


@step
def activation(d: Drawn) -> fx.Node | None:
    x = d.pick()
    operators = [aten.relu.default, aten.tanh.default, aten.sigmoid.default, aten.neg.default, aten.gelu.default]
    return d.add(d.call(d.draw(st.sampled_from(operators)), x), d.shapes[x])


@step
def add(d: Drawn) -> fx.Node | None:
    x = d.pick()
    return d.add(d.call(aten.add.Tensor, x, d.pick(like=x)), d.shapes[x])


@step
def subtract(d: Drawn) -> fx.Node | None:
    x = d.pick()
    return d.add(d.call(aten.sub.Tensor, x, d.pick(like=x)), d.shapes[x])


@step
def multiply(d: Drawn) -> fx.Node | None:
    x = d.pick()
    return d.add(d.call(aten.mul.Tensor, x, d.pick(like=x)), d.shapes[x])


@step
def by_constants(d: Drawn) -> fx.Node | None:
    x = d.pick()
    operator = d.draw(st.sampled_from([aten.mul.Tensor, aten.add.Tensor]))
    return d.add(d.call(operator, x, d.weight(d.shapes[x][-1])), d.shapes[x])


@step
def cross(d: Drawn) -> fx.Node | None:
    """DCN's first form: ``x0 (w x) + b + x``."""
    x = d.pick(rank=2)
    width = d.shapes[x][-1]
    scalar = d.call(aten.linear.default, x, d.weight(1, width), None)
    product = d.call(aten.add.Tensor, d.call(aten.mul.Tensor, x, scalar), d.weight(width))
    return d.add(d.call(aten.add.Tensor, product, x), (width,))


@step
def concatenate(d: Drawn) -> fx.Node | None:
    parts = [d.pick(rank=2) for _ in range(d.number(2, 4))]
    return d.add(d.call(aten.cat.default, parts, 1), (sum(d.shapes[part][0] for part in parts),))


def side_by_side(d: Drawn) -> tuple[fx.Node, int]:
    """A concatenation of one of the user's, one of the item's and one value of any kind."""
    parts = [node for node in d.pool if node.name in {"user", "item"}] + [d.pick(rank=2)]
    return d.call(aten.cat.default, parts, 1), sum(d.shapes[part][0] for part in parts)


@step
def norm_and_product(d: Drawn) -> fx.Node | None:
    x, width = side_by_side(d)
    x = d.call(aten.layer_norm.default, x, [width], d.weight(width), d.weight(width), 1e-2, False)
    return d.add(d.call(aten.linear.default, x, d.weight(3, width), d.weight(3)), (3,))


@step
def crosses_and_product(d: Drawn) -> fx.Node | None:
    """Two layers of DCN's first form, read by a product."""
    first, width = side_by_side(d)
    x = first
    for _ in range(2):
        scalar = d.call(aten.linear.default, x, d.weight(1, width), None)
        x = d.call(aten.add.Tensor, d.call(aten.mul.Tensor, first, scalar), x)
    return d.add(d.call(aten.linear.default, x, d.weight(3, width), d.weight(3)), (3,))


@step
def matrix_crosses_and_product(d: Drawn) -> fx.Node | None:
    """Layers of DCN's second form, ``x0 (W x) + x``, read by a product and now and then by another operator."""
    first, width = side_by_side(d)
    x = first
    for _ in range(d.number(1, 3)):
        bias = d.weight(width) if d.number(0, 1) else None
        layer = d.call(aten.linear.default, x, d.weight(width, width), bias)
        factors = (first, layer) if d.number(0, 1) else (layer, first)
        x = d.call(aten.add.Tensor, d.call(aten.mul.Tensor, *factors), x)
        if not d.number(0, 2):
            d.add(d.call(aten.tanh.default, x), (width,))
    return d.add(d.call(aten.linear.default, x, d.weight(3, width), d.weight(3)), (3,))


@step
def concatenate_events(d: Drawn) -> fx.Node | None:
    x = d.pick(rank=3)
    fit = [node for node in d.pool if len(d.shapes[node]) == 2 and d.shapes[node][1] == d.shapes[x][1]]
    other = d.draw(st.sampled_from(fit))
    return d.add(d.call(aten.cat.default, [x, other], 1), (d.shapes[x][0] + d.shapes[other][0], d.shapes[x][1]))


@step
def query_and_events(d: Drawn) -> fx.Node | None:
    """DIN's input: ``[q, k, q - k, q * k]``."""
    events = d.pick(rank=3)
    length, width = d.shapes[events]
    fit = [node for node in d.pool if d.shapes[node] == (width,)]
    if not fit:
        return None
    query = d.call(aten.unsqueeze.default, d.draw(st.sampled_from(fit)), 1)
    query = d.call(aten.expand.default, query, [-1, length, -1])
    both = [d.call(operator, query, events) for operator in (aten.sub.Tensor, aten.mul.Tensor)]
    whole = d.call(aten.cat.default, [query, events, *both], 2)
    return d.add(d.call(aten.linear.default, whole, d.weight(2, 4 * width), d.weight(2)), (length, 2))


@step
def layer_norm(d: Drawn) -> fx.Node | None:
    x = d.pick()
    width = d.shapes[x][-1]
    node = d.call(aten.layer_norm.default, x, [width], d.weight(width), d.weight(width), 1e-2, False)
    return d.add(node, d.shapes[x])


@step
def batch_norm(d: Drawn) -> fx.Node | None:
    x = d.pick(rank=2)
    width = d.shapes[x][0]
    name = f"weight_{len(d.constants)}"
    variance = d.weight(width)
    d.constants[name] = d.constants[name].abs() + 0.5
    stats = (d.weight(width), d.weight(width), d.weight(width), variance)
    return d.add(d.call(aten.batch_norm.default, x, *stats, False, 0.1, 1e-5, True), (width,))


@step
def softmax(d: Drawn) -> fx.Node | None:
    x = d.pick()
    return d.add(d.call(aten._softmax.default, x, -1, False), d.shapes[x])


@step
def stack(d: Drawn) -> fx.Node | None:
    x = d.pick(rank=2)
    return d.add(d.call(aten.stack.default, [x, d.pick(like=x)], 1), (2, *d.shapes[x]))


@step
def pool(d: Drawn) -> fx.Node | None:
    x = d.pick(rank=3)
    operator = d.draw(st.sampled_from([aten.sum.dim_IntList, aten.mean.dim]))
    return d.add(d.call(operator, x, [1]), d.shapes[x][1:])


@step
def attention_by_hand(d: Drawn) -> fx.Node | None:
    """A pooled history: ``(weights * events).sum(1)``."""
    events = d.pick(rank=3)
    length, width = d.shapes[events]
    fit = [node for node in d.pool if d.shapes[node] == (length,)]
    if not fit:
        return None
    weights = d.call(aten.unsqueeze.default, d.draw(st.sampled_from(fit)), 2)
    product = d.call(aten.mul.Tensor, weights, events)
    keep = bool(d.number(0, 1))
    return d.add(d.call(aten.sum.dim_IntList, product, [1], keep), (1, width) if keep else (width,))


@step
def factorisation_machine(d: Drawn) -> fx.Node | None:
    x = d.pick(rank=3)
    total = d.call(aten.pow.Tensor_Scalar, d.call(aten.sum.dim_IntList, x, [1]), 2)
    squares = d.call(aten.sum.dim_IntList, d.call(aten.pow.Tensor_Scalar, x, 2), [1])
    return d.add(d.call(aten.sub.Tensor, total, squares), d.shapes[x][1:])


@step
def sum_of_fields(d: Drawn) -> fx.Node | None:
    """Fields of the user, the item and the pair, added up."""
    fields = [node for node in d.pool if node.name in {"user", "item", "pair"}]
    total = d.call(aten.sum.dim_IntList, d.call(aten.stack.default, fields, 1), [1])
    return d.add(total, (WIDTH,))


@step
def flatten(d: Drawn) -> fx.Node | None:
    x = d.pick(rank=3)
    width = d.shapes[x][0] * d.shapes[x][1]
    return d.add(d.call(aten.reshape.default, x, [-1, width]), (width,))


@step
def turn(d: Drawn) -> fx.Node | None:
    x = d.pick(rank=3)
    return d.add(d.call(aten.permute.default, x, [0, 2, 1]), d.shapes[x][::-1])


@step
def merge_rows_and_events(d: Drawn) -> fx.Node | None:
    x = d.pick(rank=3)
    length, width = d.shapes[x]
    flat = d.call(aten.reshape.default, x, [-1, width])
    flat = d.call(aten.linear.default, flat, d.weight(3, width), None)
    return d.add(d.call(aten.reshape.default, flat, [-1, length, 3]), (length, 3))


@step
def inner_products(d: Drawn) -> fx.Node | None:
    x = d.pick(rank=3)
    fit = [node for node in d.pool if len(d.shapes[node]) == 2 and d.shapes[node][1] == d.shapes[x][1]]
    other = d.draw(st.sampled_from(fit))
    right = d.call(aten.permute.default, other, [0, 2, 1])
    return d.add(d.call(aten.matmul.default, x, right), (d.shapes[x][0], d.shapes[other][0]))


@step
def attention(d: Drawn) -> fx.Node | None:
    query, keys = d.pick(rank=3), d.pick(rank=3)
    if d.shapes[query][1] != d.shapes[keys][1]:
        return None
    query_heads, keys_heads = (d.call(aten.unsqueeze.default, x, 1) for x in (query, keys))
    seen = d.call(aten.scaled_dot_product_attention.default, query_heads, keys_heads, keys_heads)
    return d.add(d.call(aten.select.int, seen, 1, 0), d.shapes[query])


@step
def bilinear(d: Drawn) -> fx.Node | None:
    one, other = d.pick(rank=2), d.pick(rank=2)
    weight = d.weight(2, d.shapes[one][0], d.shapes[other][0])
    return d.add(d.call(aten.bilinear.default, one, other, weight, d.weight(2)), (2,))


@step
def cut(d: Drawn) -> fx.Node | None:
    x = d.pick(rank=2)
    stop = d.number(1, d.shapes[x][0])
    start = d.number(0, stop - 1)
    return d.add(d.call(aten.slice.Tensor, x, 1, start, stop), (stop - start,))


@step
def one_event(d: Drawn) -> fx.Node | None:
    x = d.pick(rank=3)
    return d.add(d.call(aten.select.int, x, 1, d.number(0, d.shapes[x][0] - 1)), d.shapes[x][1:])


@step
def running_sum(d: Drawn) -> fx.Node | None:
    x = d.pick()
    return d.add(d.call(aten.cumsum.default, x, 1), d.shapes[x])


@step
def without_a_rule(d: Drawn) -> fx.Node | None:
    """An operator that the pass does not know: what it returns for a user's row must not be guessed."""
    x = d.pick(rank=2)
    return d.add(d.call(aten.glu.default, d.call(aten.cat.default, [x, x], 1), 1), d.shapes[x])


@step
def over_rows(d: Drawn) -> fx.Node | None:
    """What all candidates decide together, which no single row of the user may replace."""
    x = d.pick(rank=2)
    if d.number(0, 1):
        return d.add(d.call(aten._softmax.default, x, 0, False), d.shapes[x])
    return d.add(d.call(aten.sub.Tensor, x, d.call(aten.mean.dim, x, [0], True)), d.shapes[x])
