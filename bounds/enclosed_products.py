"""Products of enclosures that are not multiplied out until somebody asks: most are added up, and that takes one pass.

Where one factor is probabilities along the last axis, the sum along it is a mean, which lies between the ends of the other
factor. A contraction (numpy's ``einsum``) of two tables is a product of two views, added up.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bounds import rounded, rounded_products
from bounds.arranged import arrange_sums
from bounds.enclosed_laws import Distributions
from bounds.enclosure import Axis, Enclosure, binary, pair


class Product(Enclosure):
    """``x y`` entry by entry, for enclosures that broadcast."""

    __slots__ = ("factors", "kind", "wide")

    def __init__(self, x: Enclosure, y: Enclosure) -> None:
        self.factors, self.wide = (x, y), x.shape if x.shape == y.shape else np.broadcast_shapes(x.shape, y.shape)
        self.kind = next(
            (k for k, p in enumerate((x, y), rounded_products.FIRST) if _weighs(p, self.wide)), rounded_products.PLAIN
        )

    def __getattr__(self, name: str) -> Any:
        if name not in ("mid", "rad"):
            raise AttributeError(name)
        self.mid, self.rad = binary(rounded.MULTIPLY, *self.factors)
        return getattr(self, name)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self.wide

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.wide)

    @property
    def size(self) -> int:
        """Number of entries."""
        return math.prod(self.wide)

    def sum(self, axis: Axis = None, keepdims: bool = False) -> Enclosure:
        """Sum along axes; where the last one alone is that of probabilities, a mean."""
        axes = (
            tuple(range(self.ndim))
            if axis is None
            else tuple(a % self.ndim for a in ((axis,) if isinstance(axis, int) else axis))
        )
        if keepdims or not axes or 0 in (self.wide[a] for a in axes):
            return super().sum(axis, keepdims)
        kind = self.kind if axes == (self.ndim - 1,) else rounded_products.PLAIN
        given = [np.asarray(x, dtype=float) for factor in self.factors for x in pair(factor)]
        arranged = arrange_sums(given, self.wide, axes)
        mid, rad = arranged.room()
        rounded_products.dot(kind, *arranged.matrices, arranged.rows, mid, rad)
        return Enclosure(arranged.table(mid), arranged.table(rad))


def _weighs(x: Enclosure, shape: tuple[int, ...]) -> bool:
    return isinstance(x, Distributions) and x.shape[-1:] == shape[-1:]


def contracted(subscripts: str, x: Any, y: Any) -> Enclosure | None:
    """``einsum`` of two tables; None where a label is repeated in one of them, or is in neither."""
    inputs, output = subscripts.replace(" ", "").replace("...", "").split("->")
    labels = inputs.split(",")
    summed = "".join(dict.fromkeys(label for part in labels for label in part if label not in output))
    if any(len(set(part)) < len(part) for part in labels) or not summed or not set(output) <= set("".join(labels)):
        return None
    first, second = (_spread(Enclosure(*pair(z)), part, output + summed) for z, part in zip((x, y), labels, strict=True))
    return Product(first, second).sum(tuple(range(-len(summed), 0)))


def _spread(x: Enclosure, labels: str, wanted: str) -> Enclosure:
    """A view of a table [..., *labels] with an axis for each of the labels wanted."""
    lead = x.ndim - len(labels)
    order = (*range(lead), *(lead + labels.index(label) for label in wanted if label in labels))
    index = (..., *(slice(None) if label in labels else None for label in wanted))
    return Enclosure(x.mid.transpose(order)[index], x.rad.transpose(order)[index])
