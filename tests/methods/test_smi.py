"""SMI against a float64 NumPy transcription of METHODS' forms, its identities and its documented traps."""

import dataclasses

import numpy as np
import pytest
import torch

from bench.api import Context, Projector
from bench.errors import UserError
from bench.methods import barlow
from bench.methods.smi import SMI, Config, gaussian_mutual_information, normalised, objective

FORMS = [
    Config(),
    Config(transform="identity", w=3.0),
    Config(form="maxmin"),
    Config(form="fisher"),
    Config(form="match", centre="none", epsilon=0.1),
    Config(form="match", centre="batch"),
    Config(form="match", level="feature"),
    Config(form="maxmin", level="feature"),
    Config(form="fisher", level="feature"),
]


def embeddings(batch=12, width=7, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shared = torch.randn(batch, width, generator=generator, dtype=torch.float64)
    noise = torch.randn(2, batch, width, generator=generator, dtype=torch.float64)
    return shared + 0.5 * noise[0], shared + 0.5 * noise[1]


def reference(za, zb, config):
    """Entry by entry, as one would write it on paper."""
    za, zb = za.numpy(), zb.numpy()

    def over_batch(z):
        return (z - z.mean(0)) / np.sqrt(z.var(0) + 1e-5)

    if config.level == "feature":
        a, b = over_batch(za).T / np.sqrt(len(za)), over_batch(zb).T / np.sqrt(len(zb))
    else:
        a, b = (over_batch(za), over_batch(zb)) if config.centre == "batch" else (za, zb)
        if config.centre == "feature":
            a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
        a, b = (z / np.linalg.norm(z, axis=1, keepdims=True) for z in (a, b))
    size = len(a)
    positives, negatives = [], []
    for i in range(size):
        for j in range(size):
            rho = float(a[i] @ b[j])
            information = -0.5 * np.log(1 - (1 - config.epsilon) * rho**2)
            normalised = information / (-0.5 * np.log(config.epsilon))
            if config.form == "match":
                entry = rho if config.transform == "identity" else normalised
                value = (1 - entry) ** 2 if i == j else entry**2
            elif i == j and config.form == "fisher":
                value = -np.arctanh((1 - config.epsilon) * rho)
            else:
                value = -information if i == j else information
            (positives if i == j else negatives).append(value)
    return np.mean(positives) + config.w * np.mean(negatives)


@pytest.mark.parametrize("config", FORMS, ids=str)
def test_value_is_that_of_the_formula(config):
    za, zb = embeddings()
    assert objective(za, zb, config)[0].item() == pytest.approx(reference(za, zb, config), rel=1e-12)


@pytest.mark.parametrize("config", FORMS, ids=str)
def test_gradient_is_that_of_the_formula(config):
    za, zb = embeddings(batch=5, width=4)
    za.requires_grad_()
    objective(za, zb, config)[0].backward()
    step = 1e-6
    for i, j in [(0, 0), (2, 3), (4, 1)]:
        up, down = za.detach().clone(), za.detach().clone()
        up[i, j] += step
        down[i, j] -= step
        slope = (reference(up, zb, config) - reference(down, zb, config)) / (2 * step)
        assert za.grad[i, j].item() == pytest.approx(slope, rel=1e-5, abs=1e-8)


@pytest.mark.parametrize("config", FORMS, ids=str)
def test_swapping_the_views_and_permuting_the_batch_change_nothing(config):
    za, zb = embeddings()
    order = torch.randperm(len(za), generator=torch.Generator().manual_seed(1))
    value = objective(za, zb, config)[0]
    assert torch.isclose(objective(zb, za, config)[0], value, rtol=1e-12)
    assert torch.isclose(objective(za[order], zb[order], config)[0], value, rtol=1e-12)


PEARSON = [Config(), Config(form="maxmin"), Config(form="fisher", centre="feature"), Config(transform="identity")]


@pytest.mark.parametrize("config", PEARSON, ids=str)
def test_pearson_rows_ignore_a_scale_and_a_shift_of_every_row(config):
    za, zb = embeddings()
    scale = torch.linspace(0.5, 3, len(za), dtype=torch.float64)[:, None]
    shifted = scale * za + torch.linspace(-2, 2, len(za), dtype=torch.float64)[:, None]
    assert torch.isclose(objective(shifted, zb, config)[0], objective(za, zb, config)[0], rtol=1e-10)


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e6])
def test_float32_rows_far_from_0_have_correlations_up_to_1(offset):
    """Identical views, whose correlation must not be above what the mutual information is defined for."""
    z = torch.randn(64, 513, generator=torch.Generator().manual_seed(0)) + offset
    rows, scale = normalised(z, "sample", "feature")
    rho = scale * rows @ rows.T
    assert rho.abs().max() < 1 + 1e-5
    torch.testing.assert_close(rho.diagonal(), torch.ones(64), rtol=0, atol=1e-5)


def test_fisher_gain_is_mutual_information_plus_a_sign_aware_term():
    rho = torch.linspace(-0.95, 0.95, 39, dtype=torch.float64)
    assert torch.allclose(torch.atanh(rho), gaussian_mutual_information(rho, 0.0) + torch.log1p(rho))


@pytest.mark.parametrize(("form", "vanishes"), [("match", True), ("maxmin", True), ("fisher", False)])
def test_the_pull_on_an_uncorrelated_positive_pair_vanishes_except_for_fisher(form, vanishes):
    config = Config(form=form, centre="none", w=0.0)
    za = torch.eye(4, dtype=torch.float64).requires_grad_()
    zb = torch.eye(4, dtype=torch.float64).roll(1, 0)  # every rho_ii is 0
    objective(za, zb, config)[0].backward()
    assert (za.grad.abs().max().item() == 0) is vanishes


def test_identity_is_spectral_contrastive_up_to_the_square_of_the_diagonal():
    za, zb = embeddings()
    a = torch.nn.functional.normalize(za - za.mean(1, keepdim=True), dim=1)
    b = torch.nn.functional.normalize(zb - zb.mean(1, keepdim=True), dim=1)
    rho, size = a @ b.T, len(a)
    off = (rho.square().sum() - rho.diagonal().square().sum()) / (size * (size - 1))
    spectral = -2 * rho.diagonal().mean() + 3 * off
    value = objective(za, zb, Config(transform="identity", w=3.0))[0]
    assert torch.isclose(value, spectral + 1 + rho.diagonal().square().mean(), rtol=1e-12)


def test_the_linear_feature_level_form_is_barlow_twins_over_d(agrees):
    leaves = [z.requires_grad_() for z in embeddings()]
    width, lambda_ = leaves[0].shape[1], 0.05
    linear = Config(transform="identity", level="feature", w=lambda_ * (width - 1))
    agrees(objective(*leaves, linear)[0] * width, barlow.objective(*leaves, lambda_)[0], leaves)


@pytest.mark.parametrize(
    ("config", "size"), [(Config(), 256), (Config(gather=True), 256), (Config(level="feature"), 64)]
)
def test_lambda_is_the_weight_on_one_entry(config, size):
    context = Context(config, 6, Projector(8, 64, 3), 4, total_steps=10, steps_per_epoch=5, batch_size=256)
    assert SMI(torch.nn.Identity(), context).resolved() == {"lambda": 10 / (size - 1)}


@pytest.mark.parametrize(("gathers", "size"), [(False, 128), (True, 256)])
def test_the_matrix_of_one_of_two_processes_is_its_own_unless_gathered(gathers, size, monkeypatch):
    called = []
    monkeypatch.setattr("bench.methods.smi.world_size", lambda: 2)
    monkeypatch.setattr("bench.methods._joint_embedding.gather", lambda z: called.append(1) or torch.cat([z, z + 1]))
    shape = Projector(8, 64, 3)
    context = Context(Config(gather=gathers), 6, shape, 4, total_steps=10, steps_per_epoch=5, batch_size=256)
    method = SMI(torch.nn.Linear(6, 6), context)
    assert method.resolved() == {"lambda": 10 / (size - 1)}
    views = list(torch.randn(2, 128, 6))
    za, zb = (method.embed(method.encoder(view)) for view in views)
    expected = (
        objective(torch.cat([za, za + 1]), torch.cat([zb, zb + 1]), Config())
        if gathers
        else objective(za, zb, Config())
    )
    assert torch.equal(method(views, torch.arange(128), None)[0], expected[0])
    assert len(called) == (2 if gathers else 0)


def test_diagnostics_are_read_off_the_matrix():
    za, zb = embeddings()
    terms = objective(za, -zb, Config())[1]
    assert terms["negative_positives"] == 1
    assert terms["positive_correlation"] < -0.5


def test_defaults_follow_the_form():
    assert (Config().w, Config().centre) == (10.0, "feature")
    assert Config(form="maxmin").w == 3.0
    assert (Config(form="fisher").w, Config(form="fisher").centre) == (10.0, "batch")
    assert Config(form="maxmin", w=7.0).w == 7.0


def test_the_linear_ablation_exists_for_match_only():
    with pytest.raises(UserError, match="form=match"):
        Config(form="maxmin", transform="identity")


@pytest.mark.parametrize("form", ["match", "maxmin", "fisher"])
@pytest.mark.parametrize("level", ["sample", "feature"])
def test_a_configuration_survives_the_record_of_its_run(form, level):
    config = Config(form=form, level=level)
    assert Config(**dataclasses.asdict(config)) == config
