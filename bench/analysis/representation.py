"""Measures of one representation: spectrum and effective rank, alignment, uniformity, redundancy, class separation.

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
def spectrum(features: Tensor) -> Tensor:
    """Falling singular values of centred `features` (N, d) as shares of their sum, at most min(N - 1, d) of them.

    Features that do not vary beyond the rounding of their own type, or a single row, span no direction: none. Rounding
    is judged by the type of the tensor: compute features in float32 for this. Those of bfloat16 autocast turned into
    float32 afterwards carry rounding noise of high rank, which hides a collapse.
    Raises ValueError for features that are not finite.
    """
    if not features.isfinite().all():
        raise ValueError("the spectrum of features that are not finite is undefined")
    rounding = 10 * torch.finfo(features.dtype).eps
    features = features.double()
    singular = torch.linalg.svdvals(features - features.mean(0))
    # Rounding noise is of nearly full rank: kept, it would make a collapsed representation look rich.
    singular = singular[singular > rounding * features.norm()]
    return singular / singular.sum()


def effective_rank(features: Tensor) -> float:
    """Exponential of the entropy of the `spectrum` p of `features` (N, d), in [1, min(N - 1, d)].

        effective rank = exp(-sum_k p_k log p_k).

    This is RankMe (Garrido et al. 2023, arXiv 2210.02885, equation 1; Roy and Vetterli 2007) but for two points:
    RankMe does not centre, so that a mean shared by all rows counts as a direction there, and it adds 1e-7 to each
    p_k where we take 0 log 0 = 0. With no direction at all it is 0.
    Raises ValueError for features that are not finite.
    """
    shares = spectrum(features)
    return math.exp(torch.special.entr(shares).sum().item()) if len(shares) else 0.0


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


@torch.no_grad()
def redundancy(a: Tensor, b: Tensor) -> float | None:
    """Mean squared correlation of different features over two views `a` and `b` (N, d) of N images, in [0, 1].

    The off-diagonal energy sum_{i != j} C_ij^2 of Barlow Twins' cross-correlation matrix (Zbontar et al. 2021, arXiv
    2103.03230, equations 1 and 2) divided by its number of entries, d (d - 1), so that widths compare. Independent
    features give about 1 / N. Features that are constant in either view have no correlation and are left out; None
    where fewer than two remain.
    """
    deviation_a, deviation_b = (torch.std(x.double(), dim=0, correction=0) for x in (a, b))
    rounding = torch.finfo(a.dtype).eps
    varies = (deviation_a > rounding * a.abs().amax(0)) & (deviation_b > rounding * b.abs().amax(0))
    width = int(varies.sum())
    if width < 2:
        return None
    a, b = (_standardise(x[:, varies].double()) for x in (a, b))
    correlation = a.T @ b / len(a)
    energy = correlation.square().sum() - correlation.diagonal().square().sum()
    return energy.item() / (width * (width - 1))


@torch.no_grad()
def class_separation(features: Tensor, labels: Tensor) -> float:
    """1 - (mean cosine distance within classes) / (mean over all pairs of classes), for `features` (N, d); at most 1.

    The R^2 of Kornblith et al. (2021, arXiv 2010.16402, section 4.1): every class `labels` (N,) weighs the same, and a
    picture's distance 0 to itself counts, so that labels without meaning give about (K - 1) / N for K classes. NaN
    where all features point the same way.
    """
    classes, targets, counts = torch.unique(labels, return_inverse=True, return_counts=True)
    x = _normalise(features)
    means = torch.zeros(len(classes), x.shape[1], dtype=x.dtype, device=x.device).index_add_(0, targets, x)
    means /= counts[:, None]
    within = 1 - means.square().sum(1).mean().item()
    total = 1 - means.mean(0).square().sum().item()
    return 1 - within / total if total > torch.finfo(features.dtype).eps else math.nan


def _standardise(x: Tensor) -> Tensor:
    x = x - x.mean(0)
    return x / x.square().mean(0).sqrt()


def _normalise(x: Tensor) -> Tensor:
    return F.normalize(x.double(), dim=1)
