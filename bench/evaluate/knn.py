"""Weighted k-nearest-neighbour classification of frozen features.

Wu et al. (2018), Unsupervised Feature Learning via Non-Parametric Instance Discrimination, arXiv 1805.01978,
section 3.4; the protocol of DINO (arXiv 2104.14294). Their k is 200 and 20; the temperature is 0.07 in both.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.errors import UserError


@torch.no_grad()
def knn_predict(
    train_features: Tensor,
    train_labels: Tensor,
    features: Tensor,
    num_classes: int,
    k: int,
    temperature: float,
    block: int = 1024,
) -> Tensor:
    """Predicted classes (M,) int64 of `features` (M, d), from `train_features` (N, d) with labels (N,) int64.

    Each of the k training images of largest cosine similarity s votes for its class with weight
    exp(s / temperature); k is cut to N. Among equally similar images the first in the training order are the
    neighbours, among classes with equal votes the lowest number wins. `block` queries are compared at a time, so
    that memory is that of a (block, N) matrix of similarities.

    Raises UserError unless k >= 1, temperature > 0 and there is a training image.
    """
    if k < 1 or not temperature > 0:
        raise UserError(f"The kNN needs k >= 1 and a temperature above 0, not k={k} and temperature={temperature}.")
    if len(train_features) == 0:
        raise UserError("The kNN has no labelled training image to compare with.")
    k = min(k, len(train_features))
    bank = F.normalize(train_features.float(), dim=1)
    predictions = []
    for queries in torch.split(F.normalize(features.float(), dim=1), block):
        similarities, neighbours = _nearest(queries @ bank.T, k)
        # Relative to the nearest neighbour: the same votes up to a factor, and exp cannot overflow.
        weights = ((similarities - similarities[:, :1]) / temperature).exp()
        predictions.append(_vote(train_labels[neighbours], weights, num_classes))
    return torch.cat(predictions) if predictions else train_labels.new_empty(0)


def _nearest(similarities: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest of each row (B, N), in falling order, and their columns; the first columns among equals."""
    values, columns = similarities.topk(min(k + 1, similarities.shape[1]), dim=1)
    if values.shape[1] > k:
        # topk does not say which of several equals it returns. That matters only where the k-th and the next are
        # equal: within the k, equals carry equal weights and their order is lost in the vote.
        undecided = (values[:, k - 1] == values[:, k]).nonzero().squeeze(1)
        if len(undecided):
            ordered = similarities[undecided].sort(dim=1, descending=True, stable=True).indices
            columns[undecided, :k] = ordered[:, :k]
    return values[:, :k], columns[:, :k]


def _vote(labels: Tensor, weights: Tensor, num_classes: int) -> Tensor:
    """Class of largest summed weight, from labels (B, k) and weights (B, k); the lowest class among equals."""
    votes = weights.new_zeros(len(labels), num_classes)
    # One neighbour at a time: a single scatter over k colliding ones adds in no fixed order on a GPU.
    for rank in range(labels.shape[1]):
        votes.scatter_add_(1, labels[:, rank : rank + 1], weights[:, rank : rank + 1])
    return votes.argmax(1)
