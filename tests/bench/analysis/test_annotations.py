"""Boxes and trimaps from files, in the square that evaluation sees."""

import numpy as np
import pytest
import torch
from PIL import Image

from bench.analysis.annotations import Annotated, find
from bench.analysis.map_scores import tight_boxes
from bench.analysis.runs import by_data, finished
from bench.errors import UserError
from bench.plan import open_dataset

VOC = (
    """<annotation><size><width>{width}</width><height>{height}</height><depth>3</depth></size>{objects}</annotation>"""
)
OBJECT = "<object><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"


@pytest.fixture(scope="module")
def data(runs, where):
    """Pictures of 24 x 32, decoded at 160 x 213: evaluation sees the central square."""
    return next(by_data(finished(runs), where))[1]


@pytest.fixture
def look_up(data, pictures, where):
    def look_up(folder):
        return find(folder, open_dataset(f"folder:{pictures}"), data, where.data_root)

    return look_up


def test_voc_boxes_in_their_own_pixels_at_any_scale(tmp_path, data, look_up):
    objects = OBJECT.format(160, 60, 200, 120) + OBJECT.format(40, 0, 80, 60)
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "blue_test0.xml").write_text(VOC.format(width=320, height=240, objects=objects))
    outside = OBJECT.format(0, 0, 30, 240)  # wholly in the margin that the central square leaves out
    (tmp_path / "green_test0.xml").write_text(VOC.format(width=320, height=240, objects=outside))
    found = look_up(tmp_path)
    assert found == {0: [(0.25, 0.5, 0.5, 0.625), (0.0, 0.125, 0.25, 0.25)], 8: [(0.0, 0.0, 1.0, 0.09375)]}
    annotated = Annotated(data, torch.tensor([0, 8]), found)
    assert annotated.rows.tolist() == [0]
    pictures, masks = annotated.batch(slice(None), 24)
    assert pictures.shape == (1, 3, 24, 24)
    # The square begins at 40 of 320 and is 240 wide: 10 pixels each in a crop of 24.
    expected = torch.zeros(24, 24, dtype=torch.bool)
    expected[6:12, 12:16] = True
    expected[0:6, 0:4] = True
    assert torch.equal(masks[0], expected)


def test_trimaps_count_the_border_to_the_animal(tmp_path, data, look_up):
    trimap = np.full((48, 64), 2, dtype=np.uint8)
    trimap[12:24, 24:40] = 3
    trimap[14:22, 26:38] = 1
    Image.fromarray(trimap).save(tmp_path / "red_test3.png")
    annotated = Annotated(data, torch.arange(24), look_up(tmp_path))
    assert annotated.rows.tolist() == [19]
    _, masks = annotated.batch(slice(None), 48)
    assert tight_boxes(masks).tolist() == [[12, 16, 24, 32]]
    assert masks.sum().item() == 12 * 16


def test_cub_boxes_are_in_pixels_of_the_original_files(tmp_path, data, look_up):
    (tmp_path / "images.txt").write_text("1 001.Blue/blue_test2.jpg\n2 002.Red/not_here.jpg\n")
    (tmp_path / "bounding_boxes.txt").write_text("1 8.0 6.0 16.0 12.0\n2 0.0 0.0 1.0 1.0\n")
    assert look_up(tmp_path) == {2: [(0.25, 0.25, 0.75, 0.75)]}


def test_a_name_that_stands_for_two_files_is_refused(tmp_path, data, look_up):
    """Two classes may number their pictures alike; and Pets have a trimap and a box of one name."""
    (tmp_path / "boxes").mkdir()
    Image.fromarray(np.ones((4, 4), dtype=np.uint8)).save(tmp_path / "red_test3.png")
    (tmp_path / "boxes/red_test3.xml").write_text(VOC.format(width=4, height=4, objects=""))
    with pytest.raises(UserError, match=r"red_test3\.png have one name"):
        look_up(tmp_path)


def test_mistakes_are_one_line(tmp_path, data, look_up):
    with pytest.raises(UserError, match=r"no \.xml boxes, no \.png trimaps"):
        look_up(tmp_path)
    (tmp_path / "blue_test0.xml").write_text("<annotation><size>")
    with pytest.raises(UserError, match="cannot be read as a VOC annotation"):
        look_up(tmp_path)
    (tmp_path / "blue_test0.xml").write_text(VOC.format(width=0, height=0, objects=OBJECT.format(1, 1, 2, 2)))
    with pytest.raises(UserError, match="cannot be read as a VOC annotation"):
        look_up(tmp_path)
    (tmp_path / "blue_test0.xml").write_text(VOC.format(width=4, height=4, objects=""))
    with pytest.raises(UserError, match="None of the test images"):
        Annotated(data, torch.arange(24), look_up(tmp_path))
