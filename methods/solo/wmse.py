"""W-MSE (solo-learn): its wmse_loss_func on embeddings whitened by its Whitening2d."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from bench.api import Context, Method, Range, Search, Terms
from bench.errors import UserError
from bench.methods._gather import gather
from bench.methods._heads import projector
from bench.methods._standardise import at_least_float32
from bench.methods.solo._adapter import solo

_wmse_loss = solo("losses/wmse.py").wmse_loss_func


class _OlderTorch:
    """torch with two functions that solo-learn calls and that torch no longer has."""

    cholesky = staticmethod(torch.linalg.cholesky)

    @staticmethod
    def triangular_solve(right: Tensor, matrix: Tensor, upper: bool) -> tuple[Tensor]:
        return (torch.linalg.solve_triangular(matrix, right, upper=upper),)

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)


with warnings.catch_warnings():
    warnings.simplefilter("ignore", FutureWarning)  # of torch.cuda.amp.custom_fwd, which the file uses
    _whitening = solo("utils/whitening.py")
_whitening.torch = _OlderTorch()


@dataclass(frozen=True)
class Config:
    output: Annotated[int, Range(minimum=2)] | None = None
    """Width of the embeddings. None: 64, solo-learn on CIFAR, but at most a quarter of the batch (ours), since fewer
    than two embeddings per dimension are white whatever the network does. result.json has the value."""
    epsilon: Annotated[float, Range(above=0, below=1), Search(1e-5, 1e-2)] = 1e-4
    """Weight of the identity in the covariance that whitens; solo-learn 0. Ours: with constant embeddings nothing else
    is left of it."""


class SoloWMSE(Method):
    """W-MSE as solo-learn trains it: whitened in parts of at least 2 D images (128 of 256 at D = 64), one at a time.

    Its loss, as solo-learn calls it, lets no gradient into the second view.
    """

    citation = "da Costa et al. (2022), solo-learn, JMLR 23(56); Ermolov et al. (2021), W-MSE, arXiv:2007.06346"
    requires = "pip install --no-deps solo-learn==1.0.2"
    Config = Config

    @classmethod
    def check(cls, context: Context) -> None:
        width = _width(context)
        if 2 * width > context.batch_size:
            raise UserError(
                f"solo/wmse.output={width} cannot be whitened with {context.batch_size} images per batch: "
                f"set solo/wmse.output={max(2, context.batch_size // 2)} or less, or a larger batch_size."
            )

    def __init__(self, encoder: nn.Module, context: Context) -> None:
        super().__init__(encoder, context)
        self.width = _width(context)
        self.projector = projector(context, self.width)
        self.whitening = _whitening.Whitening2d(self.width, eps=self.config.epsilon)

    def embed(self, features: Tensor) -> Tensor:
        return self.projector(features)

    def loss(self, views: Sequence[Tensor], indices: Tensor, labels: Tensor | None) -> tuple[Tensor, Terms]:
        embeddings = [gather(at_least_float32(self.embed(self.encoder(view)))) for view in views]
        with torch.autocast(views[0].device.type, enabled=False):
            return _wmse_loss(*map(self._whiten, embeddings)), {}

    def resolved(self) -> dict[str, float]:
        """Width of the embeddings in this run."""
        return {"output": self.width}

    def _whiten(self, z: Tensor) -> Tensor:
        """Embeddings (B, D) with identity covariance within each part; batches come in random order as they are."""
        parts = z.tensor_split(max(1, len(z) // (2 * self.width)))
        return torch.cat([self.whitening(part) for part in parts])


def _width(context: Context) -> int:
    wanted = context.config.output
    return max(2, min(64, context.batch_size // 4)) if wanted is None else int(wanted)
