"""`prepare`: download, check and decode a dataset."""

from __future__ import annotations

import argparse

from bench.commands._options import add_data_options, comma_separated

HELP = "Download, check and decode datasets, so that later runs start at once."
EXAMPLES = """examples:
  python -m bench prepare --dataset imagewoof
  python -m bench prepare --dataset folder:~/pictures --skip-corrupt
  python -m bench prepare --dataset imagewoof --check          after a disk or a copy went wrong
  python -m bench prepare --dataset imagenet --stream          where there is no room for the decoded pictures
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--dataset", required=True, metavar="NAME", help="name, NAME:VARIANT or folder:PATH; several with commas"
    )
    add_data_options(parser)
    parser.add_argument(
        "--stream",
        action=argparse.BooleanOptionalAction,
        help="keep no decoded pictures: check every file once, and have runs decode them in every epoch, in processes "
        "of their own. Same pictures, same results, slower. --no-stream keeps them; default: as the dataset is there",
    )
    parser.add_argument(
        "--check", action="store_true", help="read every decoded picture again and hold it against the fingerprint"
    )


def main(arguments: argparse.Namespace) -> int:
    from bench.datasets._check import check
    from bench.datasets._store import prepare
    from bench.plan import open_dataset

    for name in comma_separated("--dataset", arguments.dataset):
        dataset = open_dataset(name)
        store = prepare(
            dataset, arguments.data_root, arguments.store_root, arguments.skip_corrupt, streamed=arguments.stream
        )
        print(store.describe())
        if arguments.check:
            check(store)
            print("  every picture and label is as it was decoded")
    return 0
