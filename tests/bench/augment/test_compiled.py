"""Compiled views are those of the operations on whole batches; each operation against torchvision: test_operations."""

import os
import subprocess
import sys

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bench.augment import compiled, pipeline
from bench.augment.pipeline import Augmentation, apply, apply_to_batch, draw

MEAN, STD = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.2, 0.3, 0.4])
EVERYTHING = Augmentation(blur=[0.5, 0.5], solarize=[0.5, 0.5])


def batch(height, width, count=12, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 3, height, width), generator=generator, dtype=torch.uint8)
    return images, torch.tensor([height, width]) - torch.randint(0, 8, (count, 2), generator=generator)


@settings(deadline=None)
@example(height=21, width=33, size=224, seed=0)
@given(height=st.integers(8, 90), width=st.integers(8, 90), size=st.integers(8, 40), seed=st.integers(0, 2**63 - 1))
def test_views_are_those_of_operations_on_whole_batches(height, width, size, seed):
    images, sizes = batch(height, width, seed=seed % 2**32)
    drawn = draw(EVERYTHING, 1, sizes, seed)
    ours, expected = (make(images, drawn, size, MEAN, STD) for make in (apply, apply_to_batch))
    # A rounding error beside the threshold of solarisation turns a pixel over
    assert ((ours - expected).abs() > 1e-4).float().mean() < 1e-3
    assert ours.is_contiguous(memory_format=torch.channels_last)


def test_threads_and_the_batch_around_it_do_not_change_a_view():
    images, sizes = batch(40, 30)
    drawn, threads = draw(EVERYTHING, 1, sizes, 3), torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = torch.cat([apply(images[i : i + 1], drawn[i : i + 1], 16, MEAN, STD) for i in range(12)])
        torch.set_num_threads(5)
        together = apply(images, drawn, 16, MEAN, STD)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(together, alone)


def test_no_pictures_give_no_views():
    drawn = draw(EVERYTHING, 1, torch.empty(0, 2, dtype=torch.int64), 3)
    assert apply(torch.empty(0, 3, 20, 20, dtype=torch.uint8), drawn, 16, MEAN, STD).shape == (0, 3, 16, 16)


def arguments():
    return {
        "images": torch.zeros(2, 3, 10, 10, dtype=torch.uint8),
        "boxes": torch.tensor([[0, 0, 10, 10]] * 2),
        "flips": torch.zeros(2, dtype=torch.bool),
        "operations": {"hue": torch.zeros(2)},
        "size": 8,
        "mean": MEAN,
        "std": STD,
    }


@pytest.mark.parametrize("box", [[-1, 0, 4, 4], [0, 0, 11, 4], [0, 7, 4, 4], [0, 0, 0, 4]])
def test_a_box_beyond_its_canvas_is_an_error(box):
    with pytest.raises(ValueError, match="leaves its canvas of 10 x 10"):
        compiled.views(**arguments() | {"boxes": torch.tensor([[0, 0, 10, 10], box])})


@pytest.mark.parametrize(
    "wrong",
    [
        {"images": torch.zeros(2, 1, 10, 10, dtype=torch.uint8)},
        {"boxes": torch.tensor([[0, 0, 10, 10]])},
        {"flips": torch.zeros(1, dtype=torch.bool)},
        {"operations": {"hue": torch.zeros(3)}},
        {"std": torch.ones(1)},
    ],
)
def test_shapes_that_differ_are_an_error(wrong):
    assert compiled.views(**arguments()).shape == (2, 3, 8, 8)
    with pytest.raises(ValueError, match="shapes"):
        compiled.views(**arguments() | wrong)


def test_operations_have_one_name():
    assert set(compiled.OPERATIONS) == set(pipeline.OPERATIONS)


def test_nothing_is_compiled_where_no_view_is_made_on_a_cpu():
    code = "import sys, bench.batches, bench.run; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


LOAD = "from bench.augment import compiled; print(compiled._views.signatures, compiled._views.stats.cache_path)"


def loaded(cache, code=LOAD):
    """Whether the compiled functions have a place in a cache folder; they are there in any case."""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(cache)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert "uint8" in done.stdout, done.stderr
    kept = not done.stdout.endswith("None\n")
    assert ("NUMBA_CACHE_DIR" in done.stderr) != kept  # the user is told
    return kept


@pytest.mark.slow
def test_without_a_folder_to_keep_it_in_it_is_compiled_anew(tmp_path):
    # how numba tries whether a folder can be written
    nowhere = "import tempfile, numba\ndef full(**kwargs): raise OSError\ntempfile.TemporaryFile = full\n"
    assert not loaded(tmp_path, nowhere + LOAD)


@pytest.mark.soak
def test_a_broken_file_in_the_folder_has_it_compiled_anew(tmp_path):
    assert loaded(tmp_path)
    (index,) = tmp_path.rglob("*.nbi")
    index.write_bytes(b"")
    assert not loaded(tmp_path)
