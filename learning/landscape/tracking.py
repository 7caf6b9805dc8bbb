"""Along a ridge: which eigenvector is the last one a step further, and what it costs to know."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from learning.landscape.objective import Objective, Vector


@dataclass(frozen=True, kw_only=True, eq=False)
class Tracked:
    """An eigenvector that continues another.

    value: its eigenvalue; vector (size,), of length 1; overlap: cosine of the angle to the one before, at least 0;
    residual: |H v - value v|.
    """

    value: float
    vector: Vector
    overlap: float
    residual: float


def track(
    multiply: Callable[[Vector], Vector], previous: Vector, *, depth: int = 8, tolerance: float = 1e-4
) -> Tracked:
    """The eigenvector of a symmetric matrix that overlaps most with the previous one (size,), of length 1.

    multiply: v -> H v. By Lanczos' method, begun at the previous vector: of the Ritz vectors it is the one with the
    largest share of it, which is read off the first row of the small eigenvectors. Ends after `depth` products, or
    when the residual is below the tolerance times the largest number met. The choice is that of Parker-Holder et al.
    (2020), section 3.1, "follow the eigenvector with the highest overlap"; they refine by gradient steps instead.
    """
    from scipy.linalg import eigh_tridiagonal

    basis = [previous]
    diagonal: list[float] = []
    beside: list[float] = []
    while True:
        image = multiply(basis[-1])
        diagonal.append(float(image @ basis[-1]))
        # Twice against all that came before, as rounding would bring them back.
        for _ in range(2):
            for known in basis:
                image = image - (image @ known) * known
        rest = float(np.linalg.norm(image))
        values, small = eigh_tridiagonal(np.array(diagonal), np.array(beside))
        chosen = int(np.argmax(np.abs(small[0])))
        residual = rest * abs(float(small[-1, chosen]))
        size = max(map(abs, diagonal + beside), default=0.0)
        if len(basis) >= min(depth, previous.size) or residual <= tolerance * size or rest <= 1e-10 * size:
            break
        beside.append(rest)
        basis.append(image / rest)
    vector = np.stack(basis, axis=1) @ small[:, chosen]
    vector *= np.copysign(1 / np.linalg.norm(vector), small[0, chosen])
    return Tracked(
        value=float(values[chosen]), vector=vector, overlap=float(abs(small[0, chosen])), residual=float(residual)
    )


class Meter:
    """How many gradients an objective was asked for; a product with its Hessian is two of them."""

    def __init__(self, objective: Objective) -> None:
        self.gradients = 0
        product = objective.product

        def slope(x: Vector) -> tuple[float, Vector]:
            self.gradients += 1
            return objective.slope(x)

        def multiply(x: Vector, v: Vector) -> Vector:
            self.gradients += 2
            return product(x, v)

        self.objective = replace(objective, slope=slope, product=None if product is None else multiply)


def descend(objective: Objective, x: Vector, *, length: float, tolerance: float, limit: int) -> Vector:
    """The minimum below x, by L-BFGS of SciPy, until the gradient is as short as the tolerance.

    length: of the first step, which by itself has length 1 and so may leave the valley where x lies.
    """
    from scipy.optimize import minimize

    if np.linalg.norm(objective.slope(x)[1]) <= tolerance:
        return x

    def scaled(u: Vector) -> tuple[float, Vector]:
        value, gradient = objective.slope(x + length * u)
        return value, length * gradient

    options = {"gtol": tolerance * length / np.sqrt(x.size), "ftol": 0.0, "maxiter": limit, "maxfun": 2 * limit}
    found = minimize(scaled, np.zeros_like(x), jac=True, method="L-BFGS-B", options=options)
    return x + length * found.x
