"""Vector quantization: a single k-means level."""

from __future__ import annotations

from models.quantize.methods.res_kmeans import ResKMeans


class Vq(ResKMeans):
    """A codebook of one k-means level."""

    name = "vq"
    description = "one k-means level"
    levels = 1

    def check(self) -> None:
        """Refuses more than one level; see :meth:`models.quantize.method.Method.check`."""
        if len(self.settings.kmeans.sizes) > 1:
            raise ValueError(
                "codebook.kmeans.sizes: method vq has one level; set one size, or none for the default, or set"
                " codebook.method=res_kmeans"
            )
        super().check()
