"""Encoders load straight into torchvision's ResNets and compute the same."""

import subprocess
import sys

import pytest
import torch
import torchvision
from safetensors.torch import load_file, save_file

from bench import backbones


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_saved_weights_load_into_torchvision_and_give_the_same_features(name, tmp_path):
    encoder = backbones.build(name, None, image_size=96, seed=1).eval()
    save_file(encoder.state_dict(), tmp_path / "encoder.safetensors")
    network = torchvision.models.get_model(name)
    outcome = network.load_state_dict(load_file(tmp_path / "encoder.safetensors"), strict=False)
    assert outcome.missing_keys == ["fc.weight", "fc.bias"]
    assert outcome.unexpected_keys == []
    network.fc = torch.nn.Identity()
    images = torch.randn(2, 3, 96, 96)
    with torch.no_grad():
        torch.testing.assert_close(encoder(images), network.eval()(images))


def test_small_images_get_the_cifar_stem():
    encoder = backbones.build("resnet18", None, image_size=32, seed=1)
    assert encoder.conv1.kernel_size == (3, 3)
    assert encoder.feature_map(torch.zeros(1, 3, 32, 32)).shape == (1, 512, 4, 4)


@pytest.mark.parametrize(("image_size", "kernel", "stride"), [(32, 3, 1), (64, 3, 2), (96, 7, 2)])
def test_the_slim_stem_halves_what_a_cpu_cannot_afford(image_size, kernel, stride):
    stem = backbones.build("slim", None, image_size, seed=1).conv1
    assert (stem.kernel_size, stem.stride) == ((kernel, kernel), (stride, stride))


@pytest.mark.parametrize(("width", "features"), [(None, 128), (16, 64)])
def test_width_is_that_of_the_first_stage(width, features):
    encoder = backbones.build("slim", width, image_size=16, seed=1)
    assert encoder(torch.zeros(2, 3, 16, 16)).shape == (2, features)
    assert encoder.feature_dim == features


def test_weights_follow_their_own_seed_alone():
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first = backbones.build("slim", None, 16, seed=3).state_dict()
    assert torch.equal(torch.random.get_rng_state(), before), "building an encoder must not move the global generator"
    torch.manual_seed(6)
    second = backbones.build("slim", None, 16, seed=3).state_dict()
    other = backbones.build("slim", None, 16, seed=4).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not torch.equal(first["conv1.weight"], other["conv1.weight"])


def test_the_gradient_of_the_pooled_features_is_channels_last():
    """As all else of a step: the ReLU before the pooling would have to turn it."""
    encoder = backbones.build("slim", 8, image_size=16, seed=1).to(memory_format=torch.channels_last)
    maps = encoder.feature_map(torch.randn(4, 3, 16, 16).to(memory_format=torch.channels_last))
    encoder.feature_map = lambda images: maps
    (gradient,) = torch.autograd.grad(encoder(None).square().sum(), maps)
    assert gradient.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(encoder(None), torch.nn.functional.adaptive_avg_pool2d(maps, 1).flatten(1))


def test_plans_are_made_without_torchvision():
    """Its import takes over a second, and only who builds a network needs it."""
    code = "import sys, bench.plan, bench.local; sys.exit('torchvision' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


NARROW = """
import torch
from bench import backbones

torch.set_num_threads(3)
narrow = backbones.build("slim", 4, image_size=16, seed=1)
images = torch.randn(32, 3, 16, 16)
networks = [narrow.to(memory_format=torch.channels_last), backbones.build("slim", 4, image_size=16, seed=1).double()]
gradients = []
for network in networks:
    for _ in range(5):
        network.zero_grad()
        network(images.to(network.conv1.weight.dtype)).square().sum().backward()
    gradients.append(torch.cat([weights.grad.flatten().double() for weights in network.parameters()]))
print(((gradients[0] - gradients[1]).norm() / gradients[1].norm()).item())
"""


def test_a_narrow_encoder_has_the_right_gradients_with_three_threads():
    """oneDNN's strided 1x1 convolution crashed here, or wrote where it should not."""
    done = subprocess.run([sys.executable, "-c", NARROW], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 1e-4


def test_a_narrow_shortcut_is_a_strided_convolution():
    shortcut = backbones.build("slim", 4, image_size=16, seed=1).layer2[0].downsample[0]
    assert isinstance(shortcut, backbones.NarrowShortcut)
    x = torch.randn(2, 4, 9, 9)
    expected = torch.nn.functional.conv2d(x.double(), shortcut.weight.double(), stride=2)
    torch.testing.assert_close(shortcut(x).double(), expected, rtol=1e-5, atol=1e-6)
