"""Muon: steps of orthogonal matrices, for the kernels of convolutions.

torch's own Muon takes matrices only, and a kernel here has five dimensions; it is therefore written here.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

# Coefficients of the iteration, as published: they bring singular values near 1 in five steps (Jordan et al. 2024,
# "Muon: an optimizer for hidden layers in neural networks").
COEFFICIENTS, N_ITERATIONS = (3.4445, -4.7750, 2.0315), 5


class Muon(torch.optim.Optimizer):
    """Gradient descent with momentum, whose step is replaced by the nearest orthogonal matrix.

    A kernel of (out, in, …) counts as a matrix of (out, in × …). All its directions are then learned at one rate, while
    a step of AdamW is dominated by few of them.

    Parameters
    ----------
    parameters : iterable of Parameter
        Of two dimensions or more.
    lr : float
        Root mean square of a step's singular values.
    momentum : float
    weight_decay : float
        Decoupled, as in AdamW.
    """

    def __init__(
        self, parameters: Iterable[nn.Parameter], lr: float = 0.02, momentum: float = 0.95, weight_decay: float = 0.0
    ) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Make one step from the gradients."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(parameter)
                state["momentum"].lerp_(parameter.grad, 1 - group["momentum"])
                ahead = parameter.grad.lerp(state["momentum"], group["momentum"])  # Nesterov's
                direction = orthogonal(ahead.flatten(1))
                rows, columns = direction.shape
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(direction.view_as(ahead), alpha=-group["lr"] * max(1.0, rows / columns) ** 0.5)


def orthogonal(matrix: Tensor) -> Tensor:
    """Return nearly the orthogonal matrix that is nearest to a matrix, by Newton and Schulz's iteration."""
    a, b, c = COEFFICIENTS
    near = matrix.float() / (matrix.norm() + 1e-7)
    is_tall = near.shape[0] > near.shape[1]
    near = near.T if is_tall else near
    for _ in range(N_ITERATIONS):
        gram = near @ near.T
        near = a * near + (b * gram + c * gram @ gram) @ near
    found: Tensor = near.T if is_tall else near
    return found.to(matrix.dtype)
