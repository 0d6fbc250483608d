"""Fixtures of more than one file."""

from contextlib import contextmanager

import pytest
import torch

from bench import graphs


@pytest.fixture
def replays(monkeypatch):
    """Numbers of the CUDA graphs that were replayed, in order of their capture. Without a GPU, what stands in for a
    graph does at every replay once more what was captured."""
    numbers, made = [], []

    class Graph:
        def __init__(self, work):
            self.work, self.number = work, len(made)
            made.append(self)

        def replay(self):
            numbers.append(self.number)
            with torch.enable_grad():
                self.work()

    def capture(work, pool):
        work()
        return Graph(work)

    @contextmanager
    def capturing(device):
        yield graphs.Captured(2**20)

    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: None)
    monkeypatch.setattr(graphs, "capture", capture)
    monkeypatch.setattr(graphs, "capturing", capturing)
    return numbers
