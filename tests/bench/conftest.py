"""Fixtures of more than one file."""

from contextlib import contextmanager

import pytest
import torch

from bench import graphs


@pytest.fixture
def replays(monkeypatch):
    """Numbers of the CUDA graphs that were replayed, in order. What stands in for them without a GPU does, at every
    replay, what was captured once more; backward passes, which cannot be repeated, it only captures."""
    numbers, made = [], []

    class Graph:
        def __init__(self, work, result):
            self.work, self.result, self.number = work, result, len(made)
            made.append(self)

        def replay(self):
            numbers.append(self.number)
            with torch.no_grad():
                result = self.work()
                if result is not None:
                    self.result.copy_(result)

    def capture(work, pool):
        result = work()
        return Graph(work, result), result

    @contextmanager
    def capturing(device):
        yield graphs.Captured(2**20)

    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: None)
    monkeypatch.setattr(graphs, "capture", capture)
    monkeypatch.setattr(graphs, "capturing", capturing)
    return numbers
