"""`evaluate`: an encoder trained elsewhere under the same evaluation."""

from __future__ import annotations

import argparse
import json

from bench.commands._options import add_data_options, home
from bench.errors import UserError

HELP = "Put an encoder trained elsewhere through the same evaluation."
EXAMPLES = """an encoder is a file of weights under torchvision's ResNet names (.safetensors, or .pt/.pth without
pickled objects), or torchvision:NAME for torchvision's own pretrained network.

examples:
  python -m bench evaluate --encoder runs/digits/smi/1a2b3c4d/seed0/encoder.safetensors --dataset digits
  python -m bench evaluate --encoder my_resnet18.pth --backbone resnet18 --dataset imagewoof --image-size 128
  python -m bench evaluate --encoder torchvision:resnet18 --dataset imagewoof --image-size 224
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--encoder", required=True, metavar="FILE", help="file of weights, or torchvision:NAME")
    parser.add_argument("--dataset", required=True, metavar="NAME", help="name, NAME:VARIANT or folder:PATH")
    parser.add_argument(
        "--backbone", metavar="NAME", help="resnet18, resnet50 or slim; default: from the run beside the file"
    )
    parser.add_argument(
        "--width", type=int, metavar="N", help="channels of the first stage; default: the network's own"
    )
    parser.add_argument(
        "--image-size", type=int, metavar="PX", help="default: from the run beside the file, else the dataset's"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda; default auto")
    parser.add_argument("--save", type=home, metavar="FILE", help="also write the scores as JSON")
    add_data_options(parser)


def main(arguments: argparse.Namespace) -> int:
    from bench.external import evaluate_encoder
    from bench.files import write_json
    from bench.store import disk_errors

    if arguments.save is not None and arguments.save.is_dir():
        raise UserError(f"--save {arguments.save} is a folder: name a file.")
    scores = evaluate_encoder(
        encoder=arguments.encoder,
        dataset_name=arguments.dataset,
        backbone=arguments.backbone,
        width=arguments.width,
        image_size=arguments.image_size,
        device_name=arguments.device,
        data_root=arguments.data_root,
        store_root=arguments.store_root,
        skip_corrupt=arguments.skip_corrupt,
    )
    print(f"{arguments.encoder} on {arguments.dataset}")
    for name in ("linear", "knn"):
        print(f"{name:<8} {100 * scores[name]:5.1f} % (validation {100 * scores[f'{name}_validation']:.1f} %)")
    if arguments.save is not None:
        with disk_errors(arguments.save.parent):
            write_json(arguments.save, {"encoder": arguments.encoder, "dataset": arguments.dataset, "scores": scores})
        print(f"Saved: {arguments.save}")
    else:
        print(json.dumps(scores))
    return 0
