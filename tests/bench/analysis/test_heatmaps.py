"""Maps: what each is by its definition, and that the class activation adds up to the probe's logit."""

import torch

from bench.analysis import heatmaps
from bench.analysis.heatmaps import Probe
from bench.evaluate.linear import Labelled, linear_probe


def generator(seed):
    return torch.Generator().manual_seed(seed)


def features(seed, count=12):
    return torch.rand(count, 5, 3, 4, generator=generator(seed))


def probe_of(maps, strength=0.1):
    labels = torch.arange(len(maps)) % 3
    return Probe.fit(Labelled(maps.mean((2, 3)), labels), 3, strength), labels


def test_the_mean_of_the_class_logits_is_the_probes_logit():
    maps = features(0)
    probe, labels = probe_of(maps)
    regions = probe.regions(maps)
    pooled = probe.standardise(maps.mean((2, 3)))
    assert torch.allclose(regions.mean(1), pooled, atol=1e-6)
    logits = torch.einsum("bpd,dk->bpk", regions, probe.solution.weight).mean(1) + probe.solution.intercept
    assert torch.allclose(logits, probe.solution.logits(pooled), atol=1e-6)
    found = heatmaps.class_activation(probe, maps, labels)
    own = torch.einsum("bpd,bd->bp", regions, probe.solution.weight[:, labels].T)
    assert torch.allclose(found.flatten(1), own - own.amin(1, keepdim=True), atol=1e-6)


def test_the_probe_is_the_one_that_evaluation_chose():
    maps = features(1, 60)
    labels = torch.arange(60) % 3
    parts = [Labelled(maps.mean((2, 3))[part], labels[part]) for part in (slice(40), slice(40, 50), slice(50, 60))]
    chosen = linear_probe(*parts, 3, (1.0, 1e-2))
    probe = Probe.fit(parts[0], 3, chosen.strength)
    assert torch.equal(probe.solution.logits(probe.standardise(parts[2].features)).argmax(1), chosen.predictions)


def test_activation_is_the_squared_length():
    maps = torch.zeros(1, 2, 2, 2)
    maps[0, :, 0, 1] = torch.tensor([3.0, 4.0])
    maps[0, :, 1, 1] = torch.tensor([1.0, 0.0])
    assert heatmaps.activation(maps)[0].tolist() == [[0.0, 25.0], [0.0, 1.0]]


def test_the_seed_lies_in_the_smaller_of_two_kinds_of_region():
    """Two regions of one kind, opposite to the ten others: the seed is among the two, and both are marked."""
    maps = features(2)
    probe, _ = probe_of(maps)
    direction = torch.linspace(-1, 1, 5)
    constructed = probe.standardise.mean.float()[:, None, None].expand(5, 3, 4).clone()
    scale = (1 / probe.standardise.factor).float()
    signs = torch.full((3, 4), -1.0)
    signs[1, 2] = signs[1, 3] = 1.0
    constructed += signs * (direction * scale)[:, None, None]
    found = heatmaps.seed_similarity(probe, constructed[None])[0]
    assert torch.allclose(found, (signs.double() + 1), atol=1e-5)


def test_a_map_without_variation_is_even():
    assert torch.equal(heatmaps.activation(torch.full((2, 3, 2, 2), 0.7)), torch.ones(2, 2, 2, dtype=torch.float64))


def test_enlarging_keeps_an_even_map_and_the_place_of_the_maximum():
    assert torch.allclose(heatmaps.enlarged(torch.ones(1, 2, 2), 9), torch.ones(1, 9, 9))
    one = torch.zeros(1, 4, 4)
    one[0, 3, 0] = 1.0
    top = heatmaps.enlarged(one, 16)[0].argmax().item()
    assert (top // 16 >= 12, top % 16 < 4) == (True, True)
