"""Other libraries, where they are installed: their losses, their transforms, and Barlow Twins trained with their parts.

lightly: `pip install lightly`. solo-learn: `pip install --no-deps solo-learn==1.0.2`, whose files are imported without
its package's __init__, since that asks for packages that no longer exist.
"""

from __future__ import annotations

import copy
import importlib
import sys
import types
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, distribution, version
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, RandomSampler

from bench.api import ImageFiles
from bench.augment.blur import kernel_size
from bench.augment.pipeline import BLUR_SIGMAS, LARGE_VIEWS, SOLARIZE_THRESHOLD, Augmentation
from bench.cost import step
from bench.cost.clock import Contender, paired_ratio, repeated, take_turns
from bench.cost.record import Row
from bench.data import Data
from bench.errors import UserError
from bench.hardware import cores
from bench.pretrain import Trainer
from bench.spec import RunSpec

Transform = Callable[[Any], Tensor]
"""From a PIL picture to a normalised tensor (3, S, S)."""
ROUNDS = 7
SECONDS = 600.0
CALLS_ON_GPU = 100
"""Steps in a turn there: worker processes begin each turn with nothing prefetched, which a long turn hides."""


def installed() -> list[str]:
    """Which of the libraries are there."""
    return [name for name, found in (("lightly", find_spec("lightly")), ("solo-learn", _solo_root())) if found]


def versions() -> dict[str, str]:
    """Of torchvision and of the libraries that are there."""
    return {name: version(name) for name in ("torchvision", *installed())}


def losses() -> dict[str, nn.Module]:
    """lightly's loss modules by `lightly/<method>`; solo-learn's are methods of this suite."""
    if "lightly" not in installed():
        return {}
    loss = _lightly_module("loss")
    return {
        "lightly/barlow": loss.BarlowTwinsLoss(),
        "lightly/vicreg": loss.VICRegLoss(),
        "lightly/simclr": loss.NTXentLoss(temperature=0.2),
    }


def transforms(augment: Augmentation, size: int, mean: list[float], std: list[float]) -> dict[str, list[Transform]]:
    """The two views of each library, with the settings of `augment`, and as torchvision alone would make them."""
    views = range(LARGE_VIEWS)
    found: dict[str, list[Transform]] = {"torchvision": [_torchvision(augment, v, size, mean, std) for v in views]}
    if "lightly" in installed():
        found["lightly"] = [_lightly(augment, v, size, mean, std) for v in views]
    if "solo-learn" in installed():
        found["solo-learn"] = [_solo(augment, v, size, mean, std) for v in views]
    return found


def measure(specs: dict[str, RunSpec], data: Data, raw: Any, device: torch.device) -> Iterator[Row]:
    """A row for Barlow Twins end to end by us, by each library, and for the floor, in each precision of `specs`.

    `specs` are runs of `barlow` that differ in precision, by its name; `raw` is the training split as files or arrays
    (bench.api.RawData), which the libraries load picture by picture, in this process or, on a GPU, in workers.
    All train the same network from the same weights, the libraries as their examples do: in the default memory format.
    `ratio` is to the floor of the first spec.
    """
    contenders: dict[str, Contender] = {}
    for precision, spec in specs.items():
        trainer = Trainer(spec, data, device)
        contenders[f"bench {precision}"] = trainer.measure_step
        contenders[f"floor {precision}"] = repeated(step.stages(Trainer(spec, data, device))["floor"])
        network = nn.Sequential(trainer.method.encoder, trainer.method.get_submodule("projector"))
        mean, std = data.mean.tolist(), data.std.tolist()
        views = transforms(spec.protocol.augment, spec.protocol.image_size, mean, std)
        for name in installed():
            own = copy.deepcopy(network).to(memory_format=torch.contiguous_format)
            loader = _loader(_Pictures(raw, views[name]), spec.protocol.batch_size, device)
            contenders[f"{name} {precision}"] = _loop(own, *_parts(name, own), loader, device, precision)
    times = take_turns(contenders, device, ROUNDS, SECONDS, CALLS_ON_GPU)
    first = next(iter(specs))
    batch = specs[first].protocol.batch_size
    for name, own_times in times.items():
        numbers = own_times.numbers()
        yield {
            "what": "peers",
            "name": name,
            "dataset": specs[first].dataset.key,
            "backbone": specs[first].protocol.backbone.name,
            "image_size": specs[first].protocol.image_size,
            "batch": batch,
            **numbers,
            "images_per_second": 1e3 * batch / numbers["wall_ms"],
            "images_per_cpu_second": 1e3 * batch / numbers["cpu_ms"],
            **paired_ratio(own_times, times[f"floor {first}"], device),
        }


class _Pictures(Dataset[list[Tensor]]):
    """A picture's views, opened as torchvision's ImageFolder (from a file) or CIFAR10 (from an array) do."""

    def __init__(self, raw: Any, views: list[Transform]) -> None:
        self.raw, self.views = raw, views

    def __len__(self) -> int:
        return len(self.raw.labels)

    def __getitem__(self, index: int) -> list[Tensor]:
        from PIL import Image

        if isinstance(self.raw, ImageFiles):
            picture = Image.open(self.raw.paths[index]).convert("RGB")
        else:
            picture = Image.fromarray(self.raw.images[index].transpose(1, 2, 0))
        return [view(picture) for view in self.views]


def _loader(pictures: _Pictures, batch: int, device: torch.device) -> DataLoader[list[Tensor]]:
    on_gpu = device.type == "cuda"
    steps = CALLS_ON_GPU if on_gpu else 1
    return DataLoader(
        pictures,
        batch_size=batch,
        sampler=RandomSampler(pictures, replacement=True, num_samples=steps * batch),
        num_workers=max(1, cores() - 1) if on_gpu else 0,
        persistent_workers=on_gpu,
        pin_memory=on_gpu,
    )


def _loop(
    network: nn.Module,
    loss: Callable[[Tensor, Tensor], Tensor],
    optimizer: Any,
    loader: DataLoader[list[Tensor]],
    device: torch.device,
    precision: str,
) -> Contender:
    """The training loop of lightly's examples; a turn is a pass over the loader, or its beginning. In the arithmetic
    that torch has by default, as theirs: on a GPU convolutions in TF32."""

    def steps(count: int) -> None:
        ours, torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.allow_tf32, True
        try:
            steps_as_they_are(count)
        finally:
            torch.backends.cudnn.allow_tf32 = ours

    def steps_as_they_are(count: int) -> None:
        for _, batch in zip(range(count), loader, strict=False):
            first, second = (view.to(device, non_blocking=True) for view in batch)
            with torch.autocast(device.type, torch.bfloat16, precision == "bfloat16"):
                value = loss(network(first).float(), network(second).float())
            value.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            optimizer.zero_grad()

    return steps


def _parts(name: str, network: nn.Module) -> tuple[Callable[[Tensor, Tensor], Tensor], Any]:
    """Loss and optimiser: of lightly's example, and of solo-learn's CIFAR-10 script (without its online classifier)."""
    if name == "lightly":
        return losses()["lightly/barlow"], torch.optim.SGD(network.parameters(), lr=0.06)
    sgd = torch.optim.SGD(network.parameters(), lr=0.3, momentum=0.9, weight_decay=1e-4)
    wrapper = _solo_module("utils.lars").LARSWrapper(sgd, eta=0.02, clip=True, exclude_bias_n_norm=True)
    return _solo_module("losses.barlow").barlow_loss_func, wrapper


def _torchvision(augment: Augmentation, view: int, size: int, mean: list[float], std: list[float]) -> Transform:
    from torchvision import transforms as tv

    jitter = tv.ColorJitter(augment.brightness, augment.contrast, augment.saturation, augment.hue)
    blur = tv.GaussianBlur(kernel_size(size), BLUR_SIGMAS)
    return tv.Compose(
        [
            tv.RandomResizedCrop(size, augment.scale(view)),
            tv.RandomHorizontalFlip(augment.flip),
            tv.RandomApply([jitter], augment.jitter),
            tv.RandomGrayscale(augment.grayscale),
            *([tv.RandomApply([blur], augment.blur[view])] if augment.blur[view] else []),
            *([tv.RandomSolarize(255 * SOLARIZE_THRESHOLD, augment.solarize[view])] if augment.solarize[view] else []),
            tv.ToTensor(),
            tv.Normalize(mean, std),
        ]
    )


def _lightly(augment: Augmentation, view: int, size: int, mean: list[float], std: list[float]) -> Transform:
    return _lightly_module("transforms.byol_transform").BYOLView1Transform(
        input_size=size,
        cj_prob=augment.jitter,
        cj_bright=augment.brightness,
        cj_contrast=augment.contrast,
        cj_sat=augment.saturation,
        cj_hue=augment.hue,
        min_scale=augment.minimum_scale,
        random_gray_scale=augment.grayscale,
        gaussian_blur=augment.blur[view],
        solarization_prob=augment.solarize[view],
        hf_prob=augment.flip,
        normalize={"mean": mean, "std": std},
    )


def _solo(augment: Augmentation, view: int, size: int, mean: list[float], std: list[float]) -> Transform:
    return _solo_module("utils.pretrain_dataloader").CustomTransform(
        brightness=augment.brightness,
        contrast=augment.contrast,
        saturation=augment.saturation,
        hue=augment.hue,
        color_jitter_prob=augment.jitter,
        gray_scale_prob=augment.grayscale,
        horizontal_flip_prob=augment.flip,
        gaussian_prob=augment.blur[view],
        solarization_prob=augment.solarize[view],
        min_scale=augment.minimum_scale,
        crop_size=size,
        mean=mean,
        std=std,
    )


def _lightly_module(name: str) -> Any:
    """Raises UserError where lightly was installed without what it needs."""
    try:
        return importlib.import_module(f"lightly.{name}")
    except ModuleNotFoundError as error:
        raise UserError(f"lightly cannot be imported ({error}): `pip install lightly`, with what it needs.") from error


def _solo_root() -> str | None:
    try:
        return str(distribution("solo-learn").locate_file("solo"))
    except PackageNotFoundError:
        return None


def _solo_module(name: str) -> Any:
    """A module of solo-learn below packages that are empty but for their place."""
    root = _solo_root()
    for package, folder in (("solo", root), ("solo.utils", f"{root}/utils"), ("solo.losses", f"{root}/losses")):
        empty = types.ModuleType(package)
        empty.__path__ = [str(folder)]
        sys.modules.setdefault(package, empty)
    return importlib.import_module(f"solo.{name}")
