"""Features are taken once for the last point of the learning curve and the evaluation, and every number stays."""

import pytest
import torch

from bench import observe
from bench.arms import parse
from bench.data import load
from bench.datasets._store import open_store
from bench.plan import Request, open_dataset, plan
from bench.pretrain import Trainer
from bench.store import RunFolder

CPU = torch.device("cpu")
WORDS = ["epochs=2", "evaluate.curve_points=2", "batch_size=64", "backbone.width=4", "projector.hidden=8"]


@pytest.fixture
def trainer(tmp_path):
    request = Request([parse("barlow")], ["digits"], [0], "quick", [*WORDS, "projector.output=8"], tmp_path)
    (spec,) = plan(request, CPU)
    return Trainer(spec, load(open_store(open_dataset("digits"), tmp_path, None), CPU), CPU)


def finish(trainer, observer):
    trainer.train(observer.curve_point, lambda: None, lambda: None, 1e9)
    return [{name: row[name] for name in row if "geometry" in name or "knn" in name} for row in trainer.progress.rows]


def test_numbers_are_those_of_features_of_their_own(trainer, tmp_path, monkeypatch):
    """The few pictures of a curve point are the first of the final geometry's; batches of 512 as at any other point."""
    observer = observe.Observer(trainer)
    rows = finish(trainer, observer)
    fresh = observe.Observer(trainer)
    shape = observe.geometry(trainer, observe.pictured(trainer, observe.CURVE_IMAGES))
    assert rows[-1] == {"knn_validation": rows[-1]["knn_validation"], **{f"geometry.{k}": v for k, v in shape.items()}}
    assert rows[-1]["geometry.effective_rank"] != rows[0]["geometry.effective_rank"]
    folders = [RunFolder(tmp_path / name, trainer.spec.id) for name in ("once", "anew")]
    for folder in folders:
        assert folder.lock.acquire()
    found = observer.evaluate(folders[0])
    monkeypatch.setattr(fresh, "_once", lambda name, take: take())
    assert fresh.evaluate(folders[1]) == found
    assert found["scores"]["knn_validation"] == rows[-1]["knn_validation"]
    assert found["geometry"] == observe.geometry(trainer, observe.pictured(trainer, observe.GEOMETRY_IMAGES))


def test_every_picture_is_encoded_once_after_the_last_step(trainer, tmp_path, monkeypatch):
    seen = []
    extract = observe.extract

    def counted(encoder, images, *rest):
        seen.append((trainer.progress.step, len(rest[4]) if len(rest) > 4 else len(images)))
        return extract(encoder, images, *rest)

    monkeypatch.setattr(observe, "extract", counted)
    monkeypatch.setattr("bench.evaluate.protocol.extract", counted)
    observer = observe.Observer(trainer)
    finish(trainer, observer)
    folder = RunFolder(tmp_path / "o", trainer.spec.id)
    assert folder.lock.acquire()
    observer.evaluate(folder)
    data, last = trainer.data, trainer.total_steps
    training, validation, test = (len(part) for part in (data.train, data.validation, data.test))
    assert sorted(n for step, n in seen if step == last) == sorted([training, training, validation, test])
    assert sorted(n for step, n in seen if step < last) == sorted([512, training, validation])
