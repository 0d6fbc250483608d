"""The queue against a deque."""

from collections import deque

import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.methods._queue import Queue


def in_order(queue):
    """Entries, oldest first."""
    return queue.entries.roll(-int(queue.position), dims=0)


def test_starts_with_random_unit_vectors():
    entries = Queue(50, 8).entries
    assert torch.allclose(entries.norm(dim=1), torch.ones(50))
    assert (entries @ entries.T).fill_diagonal_(0).abs().max() < 0.99


@given(st.integers(1, 12), st.lists(st.integers(1, 15), max_size=8))
def test_is_first_in_first_out_whatever_the_batches(length, batches):
    queue = Queue(length, 1)
    reference = deque(queue.entries[:, 0].tolist(), maxlen=length)
    count = 0
    for batch in batches:
        fresh = torch.arange(count, count + batch, dtype=torch.float32)
        count += batch
        queue.push(fresh[:, None])
        reference.extend(fresh.tolist())
        assert in_order(queue)[:, 0].tolist() == list(reference)


def test_a_checkpoint_carries_entries_and_position():
    queue, again = Queue(5, 2), Queue(5, 2)
    queue.push(torch.ones(3, 2))
    again.load_state_dict(queue.state_dict())
    for each in (queue, again):
        each.push(torch.full((3, 2), 2.0))
    assert torch.equal(queue.entries, again.entries)
    assert int(again.position) == 1


def test_half_precision_is_stored_as_the_entries_are():
    queue = Queue(4, 2)
    queue.push(torch.ones(2, 2, dtype=torch.bfloat16))
    assert queue.entries.dtype == torch.float32


def test_keeps_no_graph():
    queue = Queue(4, 2)
    queue.push(torch.ones(2, 2, requires_grad=True))
    assert not queue.entries.requires_grad
