"""Muon: momentum whose update is orthogonalised, for the matrices of a small transformer.

K. Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/: five Newton-Schulz steps with the quintic's coefficients
(3.4445, -4.7750, 2.0315), scaled by sqrt(rows / columns). It needs about half of AdamW's steps here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import torch

_QUINTIC = (3.4445, -4.7750, 2.0315)
_NEWTON_SCHULZ_STEPS = 5


class Muon(torch.optim.Optimizer):
    def __init__(self, parameters: Iterable[torch.Tensor], lr: float, momentum: float = 0.95, decay: float = 0.01) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "decay": decay})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]  # no closure is ever given
        for group in self.param_groups:
            # Matrices of one shape are orthogonalised together: few large products instead of many small ones.
            by_shape = defaultdict(list)
            for parameter in group["params"]:
                average = self.state[parameter].setdefault("momentum", torch.zeros_like(parameter))
                average.lerp_(parameter.grad, 1 - group["momentum"])
                update = parameter.grad.lerp(average, group["momentum"])
                by_shape[parameter.shape].append((parameter, update))
            for shape, pairs in by_shape.items():
                updates = orthogonalised(torch.stack([update for _, update in pairs]))
                scale = max(1, shape[0] / shape[1]) ** 0.5
                for (parameter, _), update in zip(pairs, updates, strict=True):
                    parameter.mul_(1 - group["lr"] * group["decay"]).add_(update, alpha=-group["lr"] * scale)


def orthogonalised(matrices: torch.Tensor) -> torch.Tensor:
    """[n, rows, columns] -> the same shape, every singular value moved close to 1."""
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    a, b, c = _QUINTIC
    for _ in range(_NEWTON_SCHULZ_STEPS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x
