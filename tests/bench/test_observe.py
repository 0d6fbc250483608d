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
    monkeypatch.setattr(fresh, "_kept_at_the_end", lambda name, take: take())
    assert fresh.evaluate(folders[1]) == found
    assert found["scores"]["knn_validation"] == rows[-1]["knn_validation"]
    assert found["geometry"] == observe.geometry(trainer, observe.pictured(trainer, observe.GEOMETRY_IMAGES))


def test_nothing_is_encoded_twice_after_the_last_step(trainer, tmp_path):
    """What is scored, in the run's precision, and for the geometry, in float32, pictures and two views of each."""
    seen = {"before": 0, "at the end": 0}

    def count(encoder, inputs):
        if not encoder.training:
            ended = trainer.progress.step == trainer.total_steps
            seen["at the end" if ended else "before"] += len(inputs[0])

    trainer.method.encoder.register_forward_pre_hook(count)
    observer = observe.Observer(trainer)
    finish(trainer, observer)
    folder = RunFolder(tmp_path / "o", trainer.spec.id)
    assert folder.lock.acquire()
    observer.evaluate(folder)
    training, validation, test = (
        len(part) for part in (trainer.data.train, trainer.data.validation, trainer.data.test)
    )
    assert seen == {
        "before": training + validation + 3 * observe.CURVE_IMAGES,
        "at the end": training + validation + test + 3 * min(training, observe.GEOMETRY_IMAGES),
    }
