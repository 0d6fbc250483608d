"""Encoders trained elsewhere, under the evaluation of every run."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch
import torchvision
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from bench import backbones
from bench.config.check import build
from bench.config.schema import Evaluation as EvaluationSettings
from bench.data import load, native_image_size
from bench.datasets._store import prepare
from bench.errors import UserError, suggest
from bench.evaluate.protocol import evaluate, labelled_features
from bench.hardware import cores, prepare_process, resolve_device, resolve_precision
from bench.plan import open_dataset

PREFIXES = ("module.", "encoder.", "backbone.")
"""What training code commonly puts before the names of the encoder's weights."""
CLASSIFIER = "fc."
"""torchvision's classifier, which is not part of the encoder."""


def evaluate_encoder(
    encoder: str,
    dataset_name: str,
    backbone: str | None,
    width: int | None,
    image_size: int | None,
    device_name: str,
    data_root: Path,
    store_root: Path | None,
    skip_corrupt: bool,
) -> dict[str, float]:
    """Scores of bench.evaluate.protocol for an encoder file or `torchvision:NAME`. Raises UserError for bad input."""
    dataset = open_dataset(dataset_name)
    device = resolve_device(device_name)
    prepare_process(device, cores())
    for option, value, least in (("--width", width, 1), ("--image-size", image_size, 8)):
        if value is not None and value < least:
            raise UserError(f"{option} must be at least {least}, not {value}.")
    if encoder.startswith("torchvision:") and (backbone or width):
        raise UserError(f"{encoder} has its own architecture: leave --backbone and --width out.")
    run = _run_beside(encoder)
    store = prepare(dataset, data_root, store_root, skip_corrupt)
    size = image_size or run.get("image_size") or native_image_size(dataset, store)
    if encoder.startswith("torchvision:"):
        network = _torchvision(encoder.removeprefix("torchvision:"))
    else:
        beside = run.get("backbone", {})
        network = encoder_of_file(Path(encoder), backbone or beside.get("name"), width or beside.get("width"), size)
    data = load(store, device)
    precision = run.get("precision") or resolve_precision("auto", device)
    parts = labelled_features(network.to(device), data, size, precision)
    settings = _evaluation_settings(run)
    scores: dict[str, float] = evaluate(
        parts, len(data.store.classes), settings.neighbours, settings.temperature
    ).scores
    return scores


def _run_beside(encoder: str) -> dict[str, Any]:
    """The configuration of the run folder that the file lies in; empty when it lies elsewhere.

    Raises UserError where it is damaged: guesses in its place would give other numbers.
    """
    config = Path(encoder).parent / "config.yaml"
    if encoder.startswith("torchvision:") or not config.is_file():
        return {}
    try:
        run = yaml.safe_load(config.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"{config}, beside the encoder, cannot be read as the configuration of a run.") from error
    return run if isinstance(run, dict) and "protocol" in run else {}


def _evaluation_settings(run: dict[str, Any]) -> EvaluationSettings:
    values = run.get("evaluate")
    if values is None:
        defaults = Path(__file__).parent / "config" / "config.yaml"
        values = yaml.safe_load(defaults.read_text(encoding="utf-8"))["evaluate"]
    return build(EvaluationSettings, values, "evaluate")


def _torchvision(name: str) -> nn.Module:
    """torchvision's pretrained ResNet without its classifier; its weights are downloaded on first use."""
    known = [known for known in torchvision.models.list_models(torchvision.models) if "res" in known]
    if name not in known:
        raise UserError(f"torchvision has no ResNet called '{name}'.{suggest(name, known)}")
    try:
        network = torchvision.models.get_model(name, weights="DEFAULT")
    except (URLError, TimeoutError) as error:
        raise UserError(
            f"torchvision's weights for {name} could not be downloaded ({error}); give the file with --encoder."
        ) from error
    network.fc = nn.Identity()
    return network


def encoder_of_file(path: Path, backbone: str | None, width: int | None, image_size: int) -> backbones.ResNet:
    """A backbone with the weights of `path`, every one of which must fit. Raises UserError where one does not."""
    if backbone is None:
        raise UserError(f"Say with --backbone which network {path} is: {', '.join(backbones.LAYOUTS)}.")
    if backbone not in backbones.LAYOUTS:
        raise UserError(f"Unknown backbone '{backbone}'.{suggest(backbone, backbones.LAYOUTS)}")
    weights = {_bare(name): value for name, value in _read_weights(path).items()}
    weights = {name: value for name, value in weights.items() if not name.startswith(CLASSIFIER)}
    network = backbones.build(backbone, width, image_size, seed=0)
    wanted = network.state_dict()
    missing, unknown = sorted(wanted.keys() - weights.keys()), sorted(weights.keys() - wanted.keys())
    if missing or unknown:
        what = f"it lacks '{missing[0]}'" if missing else f"'{unknown[0]}' has no place there"
        raise UserError(
            f"{path} does not fit {backbone}: {what} ({len(missing)} missing, {len(unknown)} unknown names)."
        )
    for name, value in wanted.items():
        if value.shape != weights[name].shape:
            raise UserError(
                f"{path} does not fit {backbone} at {image_size} px: '{name}' is {tuple(weights[name].shape)}, "
                f"not {tuple(value.shape)}; see --width and --image-size (3x3 stem up to {backbones.SMALL_IMAGE} px)."
            )
    network.load_state_dict(weights)
    return network


def _read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors by name from safetensors, or from a torch file without executing anything in it."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"There is no file {path}.") from None
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path} is not a file of weights alone, and nothing else is loaded; save its state_dict()."
        ) from error
    except (SafetensorError, RuntimeError, EOFError, OSError) as error:
        reason = next(iter(str(error).splitlines()), "it is cut short")
        raise UserError(f"{path} cannot be read as weights: {reason}") from error
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise UserError(f"{path} is not a state dict: a mapping from names to tensors.")
    return content


def _bare(name: str) -> str:
    for prefix in PREFIXES:
        name = name.removeprefix(prefix)
    return name
