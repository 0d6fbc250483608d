"""Geometry of representations: effective rank, alignment and uniformity.

Everything is computed in float64; the results are Python floats.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

COLLAPSED_BELOW = 3.0
"""Effective rank of the embedding below which a run counts as collapsed."""
COLLAPSED_ABOVE = 0.2
"""Share of positive pairs with a negative correlation above which it does."""


@torch.no_grad()
def effective_rank(features: Tensor) -> float:
    """Exponential of the entropy of the normalised singular values of centred `features` (N, d), in [1, min(N - 1, d)].

    With singular values s_1, s_2, ... of the features less their mean row,

        p_k = s_k / sum_j s_j,    effective rank = exp(-sum_k p_k log p_k).

    This is RankMe (Garrido et al. 2023, arXiv 2210.02885, equation 1; Roy and Vetterli 2007) but for two points:
    RankMe does not centre, so that a mean shared by all rows counts as a direction there, and it adds 1e-7 to each
    p_k where we take 0 log 0 = 0.

    Features that do not vary beyond the rounding of their own type, or a single row, span no direction: 0. Rounding
    is judged by the type of the tensor: compute features in float32 for this. Those of bfloat16 autocast turned into
    float32 afterwards carry rounding noise of high rank, which hides a collapse.
    Raises ValueError for features that are not finite.
    """
    if not features.isfinite().all():
        raise ValueError("the effective rank of features that are not finite is undefined")
    rounding = 10 * torch.finfo(features.dtype).eps
    features = features.double()
    singular = torch.linalg.svdvals(features - features.mean(0))
    # Rounding noise is of nearly full rank: kept, it would make a collapsed representation look rich.
    singular = singular[singular > rounding * features.norm()]
    if len(singular) == 0:
        return 0.0
    shares = singular / singular.sum()
    return math.exp(torch.special.entr(shares).sum().item())


@torch.no_grad()
def negative_positives(a: Tensor, b: Tensor) -> float:
    """Share, in [0, 1], of rows of `a` and `b` (N, D) whose Pearson correlation over the D features is negative.

    Rows are the embeddings of two views of an image; a loss blind to the sign can drive such pairs apart.
    """
    a, b = a.double(), b.double()
    products = (a - a.mean(1, keepdim=True)) * (b - b.mean(1, keepdim=True))
    return (products.sum(1) < 0).double().mean().item()


def is_collapsed(effective_rank_embedding: float, negative_positives: float) -> bool:
    """Whether a run is reported as collapsed, by the functions of these names on its embedding."""
    return effective_rank_embedding < COLLAPSED_BELOW or negative_positives > COLLAPSED_ABOVE


@torch.no_grad()
def alignment(a: Tensor, b: Tensor) -> float:
    """Mean squared distance of the L2-normalised rows of `a` and `b` (N, d), the two views of N images; in [0, 4].

    Wang and Isola (2020, arXiv 2005.10242), section 4.1, with alpha = 2. Smaller is better aligned.
    """
    return (_normalise(a) - _normalise(b)).square().sum(1).mean().item()


@torch.no_grad()
def uniformity(x: Tensor, t: float = 2.0, block: int = 1024) -> float:
    """Logarithm of the mean of exp(-t ||x_i - x_j||^2) over pairs i != j of L2-normalised rows of `x` (N, d), N >= 2.

    In [-4t, 0]; smaller is more uniform. Wang and Isola (2020, arXiv 2005.10242), section 4.1. The time grows with
    N^2: a few thousand rows are enough; memory is that of a (block, N) matrix.
    """
    x = _normalise(x)
    if len(x) < 2:
        raise ValueError("uniformity is defined over pairs: it takes two rows at least")
    sums = []
    for start in range(0, len(x), block):
        exponents = 2 * t * (x[start : start + block] @ x.T - 1)
        exponents.diagonal(start).fill_(-torch.inf)
        sums.append(exponents.logsumexp(dim=(0, 1)))
    return torch.stack(sums).logsumexp(0).item() - math.log(len(x) * (len(x) - 1))


def _normalise(x: Tensor) -> Tensor:
    return F.normalize(x.double(), dim=1)
