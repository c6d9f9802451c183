"""Muon (Jordan et al. 2024) in float32, for CPUs that only emulate bfloat16 products: torch's own rounds to it."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

COEFFICIENTS = (3.4445, -4.775, 2.0315)
"""Of the quintic step; they drive singular values to between 0.7 and 1.2 rather than to 1."""
STEPS = 5
SMALLEST_NORM = 1e-7


def orthogonalised(matrix: Tensor) -> Tensor:
    """`[m, n]` with its singular values brought near 1, by five Newton-Schulz steps."""
    a, b, c = COEFFICIENTS
    wide = matrix.T if matrix.size(0) > matrix.size(1) else matrix
    found = wide / wide.norm().clamp(min=SMALLEST_NORM)
    for _ in range(STEPS):
        gram = found @ found.T
        found = a * found + (b * gram + c * gram @ gram) @ found
    return found.T if matrix.size(0) > matrix.size(1) else found


class Muon(torch.optim.Optimizer):
    """With Nesterov momentum and no weight decay; tall matrices step further, as torch's `adjust_lr_fn="original"`."""

    def __init__(self, matrices: Iterable[Tensor], lr: float, momentum: float = 0.95) -> None:
        super().__init__(matrices, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for matrix in group["params"]:
                mean = self.state[matrix].setdefault("momentum_buffer", torch.zeros_like(matrix))
                mean.lerp_(matrix.grad, 1 - group["momentum"])
                change = orthogonalised(matrix.grad.lerp(mean, group["momentum"]))
                rows, columns = matrix.shape
                matrix.add_(change, alpha=-group["lr"] * math.sqrt(max(1, rows / columns)))
