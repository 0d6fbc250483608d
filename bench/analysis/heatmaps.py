"""Where in a picture an encoder sees evidence: maps over the positions of its last feature map.

A map is (B, h, w), not negative, 0 at its weakest position; a map without any variation is 1 everywhere: it points
nowhere, and scores what chance gives.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.evaluate.linear import Labelled, Standardiser
from bench.evaluate.logistic import Solution, regularisation_path


@dataclass(frozen=True)
class Probe:
    """A run's linear probe: its standardisation of pooled features and its weights."""

    standardise: Standardiser
    solution: Solution

    @staticmethod
    def fit(train: Labelled, classes: int, strength: float) -> Probe:
        """The probe of bench.evaluate.linear at the strength that its validation chose."""
        standardise = Standardiser.fit(train.features)
        (solution,) = regularisation_path(standardise(train.features), train.labels, classes, [strength])
        return Probe(standardise, solution)

    def regions(self, features: Tensor) -> Tensor:
        """Standardised vectors (B, h w, d), float64, of the positions of a feature map (B, d, h, w).

        Their mean over positions is the standardised feature of the picture.
        """
        return self.standardise(features.flatten(2).transpose(1, 2))


def class_activation(probe: Probe, features: Tensor, labels: Tensor) -> Tensor:
    """Class activation map (Zhou et al. 2016, arXiv 1512.04150, equation 2) of the classes `labels` (B,).

    The logit of the class at every position of `features` (B, d, h, w), of which the probe's logit is the mean.
    """
    weights = probe.solution.weight[:, labels].T
    logits = torch.einsum("bpd,bd->bp", probe.regions(features), weights)
    return _map(logits, features)


def activation(features: Tensor) -> Tensor:
    """Squared length of the feature vector at every position (Zagoruyko and Komodakis 2017, arXiv 1612.03928, eq. 1
    with p = 2): where the encoder responds, whatever the class. No label enters."""
    return _map(features.double().square().sum(1).flatten(1), features)


def seed_similarity(probe: Probe, features: Tensor) -> Tensor:
    """Cosine of every region with the seed: the region that correlates positively with the fewest others.

    The seed of LOST (Siméoni et al. 2021, arXiv 2109.14279, section 3.1), which holds it for part of an object because
    an object covers less than its background; on regions standardised by the training pictures, since features behind
    a ReLU all correlate positively. No label enters. Among equals the first region is the seed.
    """
    regions = F.normalize(probe.regions(features), dim=2)
    similarities = regions @ regions.transpose(1, 2)
    seeds = (similarities > 0).sum(2).argmin(1)
    return _map(similarities[torch.arange(len(seeds), device=seeds.device), seeds], features)


def uniform(count: int, size: int, device: torch.device) -> Tensor:
    """The map of no opinion (count, size, size)."""
    return torch.ones(count, size, size, dtype=torch.float64, device=device)


def centre_prior(count: int, size: int, device: torch.device) -> Tensor:
    """A Gaussian about the centre, of standard deviation size / 4: what is known of objects without looking."""
    offsets = (torch.arange(size, dtype=torch.float64, device=device) + 0.5) / size - 0.5
    bell = torch.exp(-offsets.square() / (2 * 0.25**2))
    return (bell[:, None] * bell).expand(count, size, size)


def enlarged(maps: Tensor, size: int) -> Tensor:
    """Maps (B, h, w) as (B, size, size), bilinearly."""
    return F.interpolate(maps[:, None], size=(size, size), mode="bilinear", align_corners=False)[:, 0]


def _map(values: Tensor, features: Tensor) -> Tensor:
    """Values (B, h w) less their minimum, as (B, h, w)."""
    shifted = values - values.amin(1, keepdim=True)
    rounding = 1e-6 * values.abs().amax(1, keepdim=True)
    flat = shifted.amax(1, keepdim=True) <= rounding
    return torch.where(flat, 1.0, shifted).view(-1, *features.shape[2:])
