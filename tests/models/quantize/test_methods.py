"""Every quantizer method: what it is, what it fits, what a codebook of it is made from, and what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.quantize.codebook import CARD, TENSORS, Codebook
from models.quantize.method import MOST_NEXT_BEST
from models.quantize.methods import METHODS, method_of
from models.quantize.quality import reconstruction_errors
from schemas.settings import load_settings
from tests.generate import clustered
from tests.models.quantize.codebooks import FAMILY, fitted, small

EVERY = ["fsq", "res_kmeans", "res_kmeans_fsq", "rq_vae", "vq"]

SIZES = {
    "fsq": ("fsq.levels=[3, 3, 3, 3, 3, 3]", "fsq.steps=420"),
    "res_kmeans": ("kmeans.sizes=[8, 6, 4, 4]",),
    "rq_vae": ("kmeans.sizes=[8, 8, 8]",),
    "vq": ("kmeans.sizes=[20]",),
}
"""Of methods that the small codebooks' own sizes do not suit."""

CHANGED: dict[str, Any] = {"sizes": [3], "levels": [2], "projection": "pca", "decoder": "mirrored", "balanced": True}
"""Another value of settings that are no numbers."""


def of(method: str, *assignments: str) -> tuple[str, ...]:
    return (f"method={method}", *SIZES.get(method, ()), *assignments)


def test_every_method_stands_here() -> None:
    assert list(METHODS) == EVERY
    with pytest.raises(ValueError, match=f"codebook.method: there is no method toys; set one of {', '.join(EVERY)}$"):
        method_of(small("method=toys"))


@pytest.mark.parametrize("method", EVERY)
def test_a_method_says_what_it_is(method: str) -> None:
    made = method_of(small(f"method={method}"))
    assert made.description
    assert "\n" not in made.description
    assert all(size >= 1 for size in made.sizes(20_770))
    empty = method_of(small(f"method={method}", "kmeans.sizes=[]", "fsq.levels=[]"))
    assert len(empty.sizes(1)) == len(empty.sizes(10**7)), "the number of levels is not the contents'"
    assert empty.sizes(10**7) >= empty.sizes(100)


@pytest.mark.parametrize(
    "assignments", [*(of(method) for method in EVERY), *FAMILY[1:4]], ids=lambda parts: "-".join(parts).split(".")[0]
)
def test_every_method_is_fitted_saved_loaded_and_applied_alike(assignments: tuple[str, ...], tmp_path: Path) -> None:
    vectors, fresh = clustered(), clustered(seed=9)
    kept = vectors.copy()
    book, twin = (fitted(vectors, *assignments) for _ in range(2))
    assert np.array_equal(vectors, kept), "the sample is not touched"
    assert book.sizes == method_of(small(*assignments)).sizes(len(vectors))
    assert np.array_equal(book.assign(fresh), twin.assign(fresh)), "bit-identical fits"
    assert np.array_equal(book.reconstruct(book.assign(fresh)), twin.reconstruct(twin.assign(fresh)))
    book.card = {"fitted_on": 400}
    book.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [CARD, TENSORS]
    card = json.loads((tmp_path / CARD).read_text())
    assert set(card) == {"format", "method", "sizes", "dimension", "levels", "fitted_on"}
    again = Codebook.load(tmp_path)
    assert (again.sizes, again.dimension, again.method) == (book.sizes, 16, small(*assignments).method)
    assert again.card == {"fitted_on": 400}
    codes, residuals, reconstructions = again.assign_with_residuals(fresh)
    assert np.array_equal(codes, book.assign(fresh))
    assert np.array_equal(reconstructions, book.reconstruct(codes))
    assert codes.max(0).tolist() <= [size - 1 for size in book.sizes]
    own = book.last_distances(residuals)
    assert own.shape == (400, book.sizes[-1])
    assert np.array_equal(own.argmin(1), codes[:, -1]), "the code is the nearest in its level's own space"
    blank = reconstruction_errors(fresh, np.broadcast_to(vectors.mean(0), fresh.shape))
    assert reconstruction_errors(fresh, reconstructions).mean() < 0.8 * blank.mean()


@pytest.mark.parametrize("method", EVERY)
def test_a_codebook_depends_on_what_its_method_reads(method: str) -> None:
    settings = small(f"method={method}")
    recipe = method_of(settings).recipe
    assert recipe.items() >= {"method": method, "sample_size": 250_000, "seed": 7}.items()
    for section in ("kmeans", "fsq", "rq_vae"):
        own = getattr(settings, section)
        for name, value in own.model_dump().items():
            other = CHANGED[name] if name in CHANGED else value + 1
            changed = settings.model_copy(update={section: own.model_copy(update={name: other})})
            read = {section, f"{section}.{name}"} & set(METHODS[method].reads)
            assert (method_of(changed).recipe != recipe) == bool(read), f"{section}.{name}"


KMEANS = {"kmeans_sizes": [], "kmeans_iterations": 25, "kmeans_balanced": False}
FSQ = {
    "fsq_levels": [], "fsq_projection": "learned", "fsq_decoder": "prefix", "fsq_prefix_minimum": 1, "fsq_hidden": 512,
    "fsq_steps": 3000, "fsq_batch_size": 512, "fsq_learning_rate": 0.001,
}  # fmt: skip
RQ_VAE = {
    "kmeans_sizes": [], "rq_vae_hidden": 512, "rq_vae_latent": 64, "rq_vae_steps": 3000, "rq_vae_batch_size": 1024,
    "rq_vae_learning_rate": 0.001,
}  # fmt: skip


@pytest.mark.parametrize(
    ("method", "read"),
    [("res_kmeans_fsq", KMEANS | FSQ), ("res_kmeans", KMEANS), ("vq", KMEANS), ("rq_vae", RQ_VAE), ("fsq", FSQ)],
)
def test_codebooks_of_0_5_are_of_the_same_recipe(method: str, read: dict[str, Any]) -> None:
    settings = load_settings((), [f"codebook.method={method}"]).codebook
    assert method_of(settings).recipe == {"method": method, **read, "sample_size": 250_000, "seed": 17}


@pytest.mark.parametrize("method", EVERY)
def test_only_the_last_of_several_codes_moves(method: str) -> None:
    made = method_of(small(*of(method, "collisions=next_best")))
    if len(made.sizes(1)) > 1:
        made.check()
        return
    with pytest.raises(ValueError, match=r"codebook\.collisions: next_best moves the last of several codes"):
        made.check()
    method_of(small(*of(method, "collisions=suffix"))).check()


def test_sizes_that_do_not_go_with_a_method_are_refused() -> None:
    with pytest.raises(ValueError, match=r"codebook\.kmeans\.sizes: method vq has one level"):
        method_of(small("method=vq", "kmeans.sizes=[4, 4]")).check()
    with pytest.raises(ValueError, match="next_best moves the last of several codes"):
        method_of(small("method=res_kmeans", "kmeans.sizes=[4]", "collisions=next_best")).check()
    method_of(small("kmeans.sizes=[4]", "collisions=next_best")).check()
    for levels, fits in (([2] * 16, True), ([2] * 17, False)):
        made = method_of(small(f"fsq.levels={levels}", "collisions=next_best"))
        assert (made.sizes(1)[-1] <= MOST_NEXT_BEST) == fits
        if not fits:
            with pytest.raises(ValueError, match=f"next_best compares at most {MOST_NEXT_BEST} codes"):
                made.check()
        else:
            made.check()


def test_methods_are_found_in_a_zip(tmp_path: Path) -> None:
    rooms = Path(__file__).parents[3]
    with zipfile.ZipFile(tmp_path / "rooms.zip", "w") as packed:
        for room in ("models", "schemas"):
            for path in (rooms / room).rglob("*.py"):
                packed.write(path, path.relative_to(rooms))
    code = "from models.quantize.methods import METHODS; print(*METHODS)"
    command = [sys.executable, "-P", "-c", f"import sys; sys.path.insert(0, 'rooms.zip'); {code}"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120)
    assert found.stdout.split() == EVERY
