"""The rewritten ranker: three graphs, of which a request runs one, the catalogue one, and the candidates one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import fx, nn
from torch.utils._pytree import TreeSpec, tree_unflatten

from models.reparameterise.build import Build
from models.reparameterise.card import Card
from models.reparameterise.colours import Stage
from models.reparameterise.memory import reuse
from models.reparameterise.single_rows import as_vectors
from models.reparameterise.values import Plain

Tensors = Mapping[str, torch.Tensor]


class ReparameterisedRanker(nn.Module):
    """A ranker that computes what depends on the user once, and can keep what depends on an item in a table.

    Its scores are those of the ranker that it was made from. Made by
    :func:`models.reparameterise.reparameterise.reparameterise`.

    Args:
        graphs: the graph of each stage; see :func:`finished`.
        names: names of the inputs that each stage reads, in order.
        spec: how the ranker nests its outputs.
        card: what was rewritten, and what it saves.
    """

    def __init__(
        self, graphs: Mapping[Stage, fx.GraphModule], names: Mapping[Stage, list[str]], spec: TreeSpec, card: Card
    ) -> None:  # fmt: skip
        super().__init__()
        self.request = graphs[Stage.REQUEST]
        self.item = graphs[Stage.ITEM]
        self.pair = graphs[Stage.PAIR]
        self.names = {stage: list(of_stage) for stage, of_stage in names.items()}
        self.spec = spec
        self.card = card

    def forward(self, user: Tensors, candidates: Tensors) -> Any:
        """Scores candidates.

        Args:
            user: the inputs of the user and of the moment, each with one row. Others are ignored.
            candidates: the inputs of items and pairs, each with n rows. Others are ignored.

        Returns:
            What the ranker returns for these candidates, with n rows.
        """
        return self.of_pairs(self.of_request(user), self.of_items(candidates), candidates)

    def of_request(self, user: Tensors) -> Tensors:
        """What depends on the request alone, each with one row; may be kept for further candidates of the request.

        Args:
            user: the inputs of the user and of the moment, each with one row.
        """
        return self._run(Stage.REQUEST, self.request, user)

    def of_items(self, items: Tensors) -> dict[str, torch.Tensor]:
        """What depends on the item alone: a table with a row for each item, to be kept for the whole catalogue.

        Every tensor has the items along its first axis, so a table may be made block by block, stored, and mapped into
        memory. Memory: what is returned, and the largest tensor of the items' graph.

        Args:
            items: the inputs of items, each with a row for each item.
        """
        return self._run(Stage.ITEM, self.item, items)

    def with_table(self, user: Tensors, pairs: Tensors, table: Tensors, rows: torch.Tensor) -> Any:
        """Scores candidates whose items are in a table.

        Args:
            user: the inputs of the user and of the moment, each with one row.
            pairs: the inputs of pairs, each with n rows.
            table: result of :meth:`of_items`.
            rows: row of each candidate's item in the table, shape (n,).
        """
        return self.of_pairs(self.of_request(user), self.gathered(table, rows), pairs)

    def gathered(self, table: Tensors, rows: torch.Tensor) -> dict[str, torch.Tensor]:
        """The rows of a table for each candidate.

        Args:
            table: result of :meth:`of_items`.
            rows: row of each candidate's item in the table, shape (n,).
        """
        return {name: values.index_select(0, rows) for name, values in table.items()}

    def of_pairs(self, request: Tensors, items: Tensors, pairs: Tensors) -> Any:
        """Scores candidates from what was computed before.

        Args:
            request: result of :meth:`of_request`.
            items: result of :meth:`of_items`, with a row for each candidate.
            pairs: the inputs of pairs, each with n rows.
        """
        handed = {**request, **items}
        own = iter(self.names[Stage.PAIR])
        outputs = self.pair(*(handed[name] if name else pairs[next(own)] for name in self.pair.meta["handed"]))
        return tree_unflatten(list(outputs), self.spec)

    def _run(self, stage: Stage, graph: fx.GraphModule, inputs: Tensors) -> dict[str, torch.Tensor]:
        outputs = graph(*(inputs[name] for name in self.names[stage]))
        return dict(zip(self.names_of(stage), outputs, strict=True))

    def names_of(self, stage: Stage) -> list[str]:
        """Names of what a stage hands to the candidates' graph."""
        of_stage = {Stage.REQUEST: self.request, Stage.ITEM: self.item}[stage]
        return cast(list[str], of_stage.meta["results"])


def finished(build: Build, outputs: list[Plain]) -> tuple[dict[Stage, fx.GraphModule], dict[Stage, list[str]]]:
    """The graphs without what nothing reads, and the names of the inputs that each still reads."""
    pair = build.graphs[Stage.PAIR]
    pair.output(tuple(build.node(plain, Stage.PAIR) for plain in outputs))
    _prune(pair)
    kept = set(pair.nodes)
    results: dict[Stage, dict[str, fx.Node]] = {Stage.REQUEST: {}, Stage.ITEM: {}}
    for plain, node in build.crossing.items():
        if node in kept:
            results[plain.stage][node.name] = cast(fx.Node, plain.node)
    for stage, nodes in results.items():
        build.graphs[stage].output(tuple(nodes.values()))
        _prune(build.graphs[stage])
    as_vectors(build.graphs[Stage.REQUEST])
    for graph in build.graphs.values():
        reuse(graph)
    modules = {stage: _module(build, graph) for stage, graph in build.graphs.items()}
    for stage, nodes in results.items():
        modules[stage].meta["results"] = list(nodes)
    crossed = {node: node.name for node in build.crossing.values()}
    modules[Stage.PAIR].meta["handed"] = [crossed.get(node, "") for node in pair.nodes if node.op == "placeholder"]
    names = {}
    for stage, graph in build.graphs.items():
        name_of = {cast(fx.Node, plain.node): name for name, plain in build.inputs[stage].items()}
        names[stage] = [name_of[node] for node in graph.nodes if node in name_of]
    return modules, names


def _prune(graph: fx.Graph) -> None:
    """Removes what nothing reads, inputs too, and puts the inputs first."""
    graph.eliminate_dead_code()
    inputs = [node for node in graph.nodes if node.op == "placeholder"]
    for node in inputs:
        if not node.users:
            graph.erase_node(node)
    first = next(iter(graph.nodes))
    for node in inputs:
        if node.users and node is not first:
            first.prepend(node)
    graph.lint()


def _owned(tensor: torch.Tensor) -> torch.Tensor:
    """A constant without the rest of the weights that it was cut from; whole weights are shared with the ranker."""
    whole = tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()
    return tensor if whole else tensor.clone()


def _module(build: Build, graph: fx.Graph) -> fx.GraphModule:
    root = nn.Module()
    for node in graph.nodes:
        if node.op == "get_attr":
            root.register_buffer(node.target, _owned(build.constants[node.target]))
    return fx.GraphModule(root, graph)
