"""Settings of every test: no time limits on examples, one thread, so that two cores of a busy machine are enough."""

import torch
from hypothesis import settings

settings.register_profile("suite", deadline=None)
settings.load_profile("suite")
torch.set_num_threads(1)
