"""Extraction of features: the evaluation crop, precision, batches, and the modes of the encoder."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.augment.pipeline import centre_crop
from bench.errors import UserError
from bench.evaluate.features import extract

MEAN, STD = torch.tensor([0.4, 0.5, 0.6]), torch.tensor([0.2, 0.25, 0.3])


@dataclass
class Pictures:
    """What `extract` asks of bench.data.Images: canvases 40 x 36 with pictures of several sizes."""

    stored: np.ndarray
    sizes: Tensor
    device = torch.device("cpu")

    def __len__(self):
        return len(self.stored)

    def stream(self, batches):
        return (torch.from_numpy(self.stored[rows.numpy()]) for rows in batches)


@pytest.fixture
def pictures(tmp_path):
    generator = np.random.default_rng(0)
    stored = np.lib.format.open_memmap(tmp_path / "images.npy", "w+", np.uint8, (23, 3, 40, 36))
    stored[:] = generator.integers(256, size=stored.shape)
    return Pictures(stored, torch.from_numpy(generator.integers(20, 37, size=(23, 2))))


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers)


def test_features_are_those_of_the_evaluation_crop(pictures, encoder):
    features = extract(encoder, pictures, 16, MEAN, STD, "float32", batch_size=7)
    crops = centre_crop(torch.from_numpy(np.array(pictures.stored)), pictures.sizes, 16, MEAN, STD)
    with torch.no_grad():
        expected = encoder.eval()(crops)
    assert features.dtype == torch.float32
    assert not features.requires_grad
    torch.testing.assert_close(features, expected, rtol=1e-5, atol=1e-6)


def test_mean_and_deviation_are_taken_off(pictures):
    """Through an encoder that only averages, over pictures of one colour."""
    pictures.stored[:] = np.array([51, 102, 204], np.uint8).reshape(1, 3, 1, 1)
    averages = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    features = extract(averages, pictures, 16, MEAN, STD, "float32")
    expected = (torch.tensor([0.2, 0.4, 0.8]) - MEAN) / STD
    torch.testing.assert_close(features, expected.expand(23, 3), rtol=1e-4, atol=1e-5)


def test_rows_choose_and_order(pictures, encoder):
    everything = extract(encoder, pictures, 16, MEAN, STD, "float32")
    rows = torch.tensor([20, 3, 3, 11])
    chosen = extract(encoder, pictures, 16, MEAN, STD, "float32", rows, batch_size=3)
    torch.testing.assert_close(chosen, everything[rows], rtol=1e-5, atol=1e-6)
    assert extract(encoder, pictures, 16, MEAN, STD, "float32", rows[:0]).shape[0] == 0


def test_bfloat16_is_used_where_asked_for_and_the_result_is_float32(pictures, encoder):
    seen = []
    encoder[0].register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    full = extract(encoder, pictures, 16, MEAN, STD, "float32")
    half = extract(encoder, pictures, 16, MEAN, STD, "bfloat16")
    assert seen == [torch.float32, torch.bfloat16]
    assert half.dtype == torch.float32
    assert not torch.equal(full, half)
    torch.testing.assert_close(full, half, rtol=0.02, atol=0.02)


def test_every_module_is_in_its_own_mode_afterwards(pictures, encoder):
    encoder.train()
    encoder[1].eval()
    before = [module.training for module in encoder.modules()]
    statistics = encoder[1].running_mean.clone()
    extract(encoder, pictures, 16, MEAN, STD, "float32")
    assert [module.training for module in encoder.modules()] == before
    assert torch.equal(encoder[1].running_mean, statistics)


def test_modes_come_back_after_an_error(pictures, encoder):
    encoder.append(nn.Linear(5, 5)).train()
    with pytest.raises(RuntimeError, match="shapes"):
        extract(encoder, pictures, 16, MEAN, STD, "float32")
    assert all(module.training for module in encoder.modules())


def test_features_that_are_not_finite_are_refused(pictures, encoder):
    nn.init.constant_(encoder[0].bias, float("nan"))
    with pytest.raises(UserError, match="not finite"):
        extract(encoder, pictures, 16, MEAN, STD, "float32")
