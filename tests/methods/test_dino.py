"""DINO: loss and centre against the official code's and solo-learn's; teacher, head and schedules."""

import pytest
import torch

from bench.api import Context, Projector
from bench.methods.dino import DINO, Config, Head, objective

BATCH, OUTPUTS = 8, 9


class Encoder(torch.nn.Module):
    """Takes views of any size."""

    def __init__(self):
        super().__init__()
        self.convolution = torch.nn.Conv2d(3, 5, 3)

    def forward(self, images):
        return torch.tanh(self.convolution(images)).mean((2, 3))


def context(steps=100, steps_per_epoch=4, **config):
    return Context(Config(prototypes=OUTPUTS, **config), 5, Projector(7, 6, 3), 3, steps, steps_per_epoch, BATCH)


def make(**settings):
    torch.manual_seed(0)
    return DINO(Encoder(), context(**settings)).double()


def pictures(seed, sides=(12, 12)):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(BATCH, 3, side, side, generator=generator, dtype=torch.float64) for side in sides]


def outputs(count, seed=0, batch=BATCH, width=OUTPUTS):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(batch, width, generator=generator, dtype=torch.float64) / 5 for _ in range(count)]


def papers_loss(student, teacher, centre, student_temperature, teacher_temperature):
    """The official code's two loops."""
    total, terms = 0, 0
    for u, t in enumerate(teacher):
        for v, s in enumerate(student):
            if u != v:
                q = torch.softmax((t - centre) / teacher_temperature, dim=1)
                total = total - (q * torch.log(torch.softmax(s / student_temperature, dim=1))).sum(1).mean()
                terms += 1
    return total / terms


@pytest.mark.parametrize("views", [2, 6])
def test_value_and_gradient_are_the_official_codes(agrees, views):
    student = [output.requires_grad_() for output in outputs(views)]
    teacher, centre = outputs(2, seed=1), outputs(1, seed=2)[0][0]
    agrees(objective(student, teacher, centre, 0.1, 0.07)[0], papers_loss(student, teacher, centre, 0.1, 0.07), student)


def test_agrees_with_solo_learn(agrees, solo_losses):
    loss = solo_losses("dino").DINOLoss(
        OUTPUTS, warmup_teacher_temp=0.04, teacher_temp=0.07, warmup_teacher_temp_epochs=4, num_epochs=9
    )
    loss.center = outputs(1, seed=2, batch=1)[0]
    student, teacher = [output.requires_grad_() for output in outputs(2)], outputs(2, seed=1)
    for epoch in (0, 1, 3, 8):
        loss.epoch, centre = epoch, loss.center[0].clone()
        ours, _ = objective(student, teacher, centre, 0.1, float(loss.teacher_temp_schedule[epoch]))
        agrees(ours, loss(torch.cat(student), torch.cat(teacher)), student)


def test_the_centre_is_a_moving_average_of_all_the_teachers_outputs():
    method, centre = make(), torch.zeros(OUTPUTS, dtype=torch.float64)
    for step in range(3):
        means = []
        for part in range(2):  # a batch in two parts, as with accumulate=2
            views = pictures(2 * step + part, (12, 12, 6))
            with torch.no_grad():
                means += [method.teacher.target(view).mean(0) for view in views[:2]]
            assert torch.equal(method.centre, centre), "one centre per step"
            method(views, torch.arange(BATCH), None)
        method.after_step((step + 1) / 100)
        centre = 0.9 * centre + 0.1 * torch.stack(means).mean(0)
        assert torch.allclose(method.centre, centre, rtol=1e-10)
        centre = method.centre.clone()


def test_the_students_views_are_all_and_the_teachers_the_large_ones():
    method = make()
    views = pictures(0, (12, 12, 6, 6))
    with torch.no_grad():
        student = [method.head(method.encoder(view)) for view in views]
        teacher = [method.teacher.target(view) for view in views[:2]]
    expected = papers_loss(student, teacher, method.centre, 0.1, 0.04)
    loss, _ = method(views, torch.arange(BATCH), None)
    assert torch.isclose(loss, expected, rtol=1e-10)
    loss.backward()
    assert all(parameter.grad is None for parameter in method.teacher.parameters())


def test_the_teacher_follows_the_student_with_a_momentum_that_suits_the_run():
    method = make(steps=100, momentum=0.996)
    assert method.resolved()["momentum"] == pytest.approx(0.8)
    assert make(steps=100_000, momentum=0.996).resolved()["momentum"] == 0.996
    with torch.no_grad():
        method.encoder.convolution.bias += 1
    before = method.teacher.target[0].convolution.bias.clone()
    method(pictures(0), torch.arange(BATCH), None)
    method.after_step(0.01)
    moved = (method.teacher.target[0].convolution.bias - before) / (method.encoder.convolution.bias - before)
    assert torch.allclose(moved, torch.full_like(moved, 0.2), atol=1e-3)


def test_the_teachers_temperature_rises_to_its_own():
    method = make(teacher_temperature=0.07, first_teacher_temperature=0.04, temperature_warmup=0.1)
    seen = [method.teacher_temperature.item()]
    for step in range(12):
        method(pictures(step), torch.arange(BATCH), None)
        method.after_step((step + 1) / 100)
        seen.append(method.teacher_temperature.item())
    assert seen == pytest.approx([0.04 + 0.003 * step for step in range(10)] + [0.07] * 3)
    assert make(teacher_temperature=0.07, temperature_warmup=0.0).teacher_temperature.item() == pytest.approx(0.07)


def test_the_last_layer_stands_still_at_first_and_has_no_length():
    method = make(steps=300)
    assert method.resolved()["frozen_steps"] == 3
    optimizer = torch.optim.SGD(method.parameters(), 10.0)
    moved = []
    for step in range(5):
        before = method.head.prototypes.weight.detach().clone()
        optimizer.zero_grad()
        method(pictures(step), torch.arange(BATCH), None)[0].backward()
        optimizer.step()
        method.after_step((step + 1) / 300)
        moved.append(not torch.equal(method.head.prototypes.weight, before))
    assert moved == [False] * 3 + [True] * 2
    features = torch.randn(BATCH, 5, dtype=torch.float64)
    cosines = method.head(features)
    assert cosines.abs().max() <= 1
    with torch.no_grad():
        method.head.prototypes.weight *= 3
    assert torch.allclose(method.head(features), cosines)


def test_the_head_is_official_but_for_widths():
    head = Head(context(batch_norm=False))
    kinds = [type(layer).__name__ for layer in head.mlp]
    assert kinds == ["Linear", "GELU", "Linear", "GELU", "Linear"]
    assert [tuple(layer.weight.shape) for layer in head.mlp if isinstance(layer, torch.nn.Linear)] == [
        (7, 5),
        (7, 7),
        (6, 7),
    ]
    with_norm = [type(layer).__name__ for layer in Head(context(batch_norm=True)).mlp]
    assert with_norm == ["Linear", "BatchNorm1d", "GELU", "Linear", "BatchNorm1d", "GELU", "Linear"]
