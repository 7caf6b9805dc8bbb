"""Surrogate gradients: what stands for the derivative of a spike, as texts.

A spike is a step of u, how far the neuron is past its threshold (dimensionless; 0 at the threshold). The step has no
useful derivative. A `Surrogate` names a smooth `primitive` in its place and the `derivative` of that primitive, which
is what the backward pass multiplies by. Both are texts in u and the parameters, in the spelling of sympy, and each is
written once: NumPy functions, the code of kernels and symbols are made of it.

>>> surrogate = fast_sigmoid(slope=25)
>>> surrogate.derivative
'1/(1 + slope*Abs(u))**2'
>>> surrogate.slope([0.0, 0.04]).tolist()
[1.0, 0.25]

Two numbers tell surrogates apart. The height is the derivative at the threshold: gradients through a chain of n
neurons at their thresholds grow as height**n. The area under the derivative is the rise of the primitive: 1 if the
primitive goes from 0 to 1 as the spike does.

A surrogate of one's own is such a record; one whose derivative is not that of its primitive is refused.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import sympy
from numpy.typing import ArrayLike, NDArray
from sympy.core.function import AppliedUndef

from dvs.errors import ParameterError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

U = sympy.Symbol("u", real=True)

# Where a derivative is compared with its primitive, in units of a narrow support; odd numbers, to miss corners.
_PROBES = np.array([-3.137, -0.8713, -0.2719, -0.0417, 0.0131, 0.1237, 0.6113, 2.239])


@dataclass(frozen=True, kw_only=True)
class Surrogate:
    """A smooth primitive in place of the spike's step, and its derivative.

    primitive, derivative: sympy texts in `u` and the names in `parameters`. support: |u| beyond which the derivative
    is zero, inf if it nowhere is. source: author, year.

    Raises ParameterError if a text cannot be read, has other names than these, or if the derivative is not that of
    the primitive.
    """

    name: str
    primitive: str
    derivative: str
    parameters: Mapping[str, float] = field(default_factory=dict, hash=False)
    support: float = math.inf
    source: str = ""

    def __post_init__(self) -> None:
        for name, value in self.parameters.items():
            if not math.isfinite(value):
                raise ParameterError(f"{name} of surrogate {self.name!r} is {value}, expected a finite number")
        expected = sympy.diff(self._read(self.primitive), U)
        probes = _PROBES * min(self.support, 1.0)
        slope = self.slope(probes)
        if not np.allclose(slope, _evaluate(expected, probes), rtol=1e-9, atol=1e-12):
            raise ParameterError(
                f"derivative {self.derivative!r} of surrogate {self.name!r} is not that of {self.primitive!r}; "
                f"expected {expected}"
            )
        if slope[np.abs(probes) > self.support].any():
            raise ParameterError(f"surrogate {self.name!r} has slope beyond its support {self.support:g}; widen it")

    def expressions(self) -> tuple[sympy.Expr, sympy.Expr]:
        """Primitive and derivative as sympy expressions of the real symbol `u`, parameters as exact numbers."""
        return self._read(self.primitive), self._read(self.derivative)

    def value(self, u: ArrayLike) -> NDArray[np.float64]:
        """The primitive at u, of any shape."""
        return _evaluate(self.expressions()[0], u)

    def slope(self, u: ArrayLike) -> NDArray[np.float64]:
        """The derivative at u, of any shape."""
        return _evaluate(self.expressions()[1], u)

    def within(self, reach: float) -> "Surrogate":
        """The same where |u| < reach, and zero beyond: neurons far from their threshold then cost nothing.

        A backward pass goes through the synapses of those neurons only whose slope is not zero. Perez-Nieves & Goodman
        (2021), "Sparse spiking gradient descent", whose B_th is the reach. Raises ParameterError if it is cut already.

        >>> fast_sigmoid().within(0.2).slope([0.1, 0.3]).round(3).tolist()
        [0.082, 0.0]
        """
        if "reach" in self.parameters:
            raise ParameterError(f"surrogate {self.name!r} is cut already; cut the one that it was made of")
        limit = sympy.Symbol("reach", positive=True)
        names = {name: sympy.Symbol(name) for name in self.parameters}
        inner = sympy.sympify(self.primitive, locals={**names, "u": U})
        ends = (inner.subs(U, -limit), inner.subs(U, limit))
        return replace(
            self,
            name=f"{self.name} within {reach:g}",
            primitive=f"Piecewise(({ends[0]}, u < -reach), ({self.primitive}, u < reach), ({ends[1]}, True))",
            derivative=f"Piecewise(({self.derivative}, Abs(u) < reach), (0, True))",
            parameters={**self.parameters, **_positive(reach=reach)},
            support=min(reach, self.support),
        )

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw derivative and primitive about the threshold."""
        import matplotlib.pyplot as plt

        if ax is None:
            _, ax = plt.subplots(figsize=(4, 3), layout="constrained")
        u = np.linspace(-2, 2, 2001)
        ax.plot(u, self.value(u), color="0.6", label="primitive")
        ax.plot(u, self.slope(u), color="#3d7fd6", label="derivative")
        ax.axvline(0, color="0.85", linewidth=0.8, zorder=0)
        numbers = ", ".join(f"{name} {value:g}" for name, value in self.parameters.items())
        ax.set(title=f"{self.name}\n{numbers}".rstrip(), xlabel="u (0 at threshold)")
        ax.legend(frameon=False)
        return ax

    def _read(self, text: str) -> sympy.Expr:
        numbers = {name: sympy.Rational(repr(float(value))) for name, value in self.parameters.items()}
        try:
            expression = sympy.sympify(text, locals={**numbers, "u": U})
        except (sympy.SympifyError, SyntaxError, TypeError, AttributeError) as error:
            raise ParameterError(f"surrogate {self.name!r} has the text {text!r}, which sympy cannot read") from error
        unknown = sorted(map(str, (expression.free_symbols - {U}) | expression.atoms(AppliedUndef)))
        if unknown:
            raise ParameterError(
                f"surrogate {self.name!r} has {', '.join(unknown)} in {text!r}, "
                f"expected u, its parameters ({', '.join(self.parameters) or 'none'}) and functions of sympy"
            )
        return expression


def fast_sigmoid(slope: float = 25.0) -> Surrogate:
    """Fast sigmoid u/(1 + k |u|): height 1, area 2/k, long tails.

    `fast_sigmoid` of snnTorch, `superspike` of Spyx (k = 25 in both). Zenke & Ganguli (2018), "SuperSpike".
    """
    return _of_fast_sigmoid("fast sigmoid", slope=slope)


def superspike(beta: float = 10.0) -> Surrogate:
    """SuperSpike 1/(1 + beta |u|)^2: height 1, area 2/beta; the fast sigmoid under the name of its paper.

    The paper's beta is 1/mV at a threshold 10 mV above rest, that is 10 for a distance of 1. SpyTorch and Perez-Nieves
    & Goodman (2021) take 100; Norse computes 1/(1 + |u|)^2, whatever its alpha. Zenke & Ganguli (2018), section 3.3.2.
    """
    return _of_fast_sigmoid("SuperSpike", beta=beta)


def arctan(alpha: float = 2.0) -> Surrogate:
    """Arc tangent, 1/2 + atan(pi alpha u/2)/pi: height alpha/2, area 1.

    `ATan` of SpikingJelly and `atan` of snnTorch, with their alpha. Fang et al. (2021), "Incorporating learnable
    membrane time constant", whose arctan(pi u) is alpha = 2.
    """
    return Surrogate(
        name="arctan",
        primitive="1/2 + atan(pi*alpha*u/2)/pi",
        derivative="alpha/2/(1 + (pi*alpha*u/2)**2)",
        parameters=_positive(alpha=alpha),
        source="Fang et al. (2021)",
    )


def triangle(height: float = 0.3, width: float = 1.0) -> Surrogate:
    """Triangle height max(0, 1 - |u|/width): area height width, zero from |u| = width on.

    Esser et al. (2016) with height 1; Bellec et al. (2018), "Long short-term memory and learning-to-learn", damp it
    to 0.3, so that gradients neither vanish nor explode through recurrence. Their u is (v - threshold)/threshold.
    """
    return Surrogate(
        name="triangle",
        primitive=(
            "Piecewise((0, u < -width), (height*(width + u)**2/(2*width), u < 0), "
            "(height*width - height*(width - u)**2/(2*width), u < width), (height*width, True))"
        ),
        derivative="Piecewise((height*(1 - Abs(u)/width), Abs(u) < width), (0, True))",
        parameters=_positive(height=height, width=width),
        support=width,
        source="Esser et al. (2016), Bellec et al. (2018)",
    )


def gaussian(sigma: float = 0.5) -> Surrogate:
    """Normal density of standard deviation sigma: height 1/(sigma sqrt(2 pi)), area 1; the primitive is its integral.

    Wu et al. (2018), "Spatio-temporal backpropagation", h4 with a4 = sigma^2; Yin, Corradi & Bohte (2021) have
    sigma = 0.5.
    """
    return Surrogate(
        name="Gaussian",
        primitive="(1 + erf(u/(sqrt(2)*sigma)))/2",
        derivative="exp(-u**2/(2*sigma**2))/(sqrt(2*pi)*sigma)",
        parameters=_positive(sigma=sigma),
        source="Wu et al. (2018)",
    )


def multi_gaussian(sigma: float = 0.5, dip: float = 0.15, spread: float = 6.0) -> Surrogate:
    """A Gaussian of sigma less two wider ones at +-sigma, so that the tails are negative: area 1 - dip.

    (1 + dip) N(u; 0, sigma) - dip N(u; sigma, spread sigma) - dip N(u; -sigma, spread sigma). The negative tails push
    neurons that are far from the threshold back to it. The paper calls dip h and spread s, and its code halves the
    result. Yin, Corradi & Bohte (2021), "Accurate and efficient time-domain classification".
    """
    return Surrogate(
        name="multi-Gaussian",
        primitive=(
            "((1 + dip)*(1 + erf(u/(sqrt(2)*sigma))) - dip*(1 + erf((u - sigma)/(sqrt(2)*spread*sigma)))"
            " - dip*(1 + erf((u + sigma)/(sqrt(2)*spread*sigma))))/2"
        ),
        derivative=(
            "((1 + dip)*exp(-u**2/(2*sigma**2)) - dip/spread*exp(-(u - sigma)**2/(2*(spread*sigma)**2))"
            " - dip/spread*exp(-(u + sigma)**2/(2*(spread*sigma)**2)))/(sqrt(2*pi)*sigma)"
        ),
        parameters=_positive(sigma=sigma, dip=dip, spread=spread),
        source="Yin, Corradi & Bohte (2021)",
    )


def boxcar(width: float = 1.0) -> Surrogate:
    """Boxcar 1/width where |u| < width/2, else zero: area 1; the primitive is a ramp from 0 to 1.

    `boxcar` of Spyx has height 1/2, which is width 2. Wu et al. (2018), "Spatio-temporal backpropagation", h1 with
    a1 = width.
    """
    return Surrogate(
        name="boxcar",
        primitive="Piecewise((0, u < -width/2), (1/2 + u/width, u < width/2), (1, True))",
        derivative="Piecewise((1/width, Abs(u) < width/2), (0, True))",
        parameters=_positive(width=width),
        support=width / 2,
        source="Wu et al. (2018)",
    )


def sigmoid(slope: float = 4.0) -> Surrogate:
    """Logistic function 1/(1 + exp(-k u)): height k/4, area 1.

    `Sigmoid` of SpikingJelly (k = 4) and `sigmoid` of snnTorch (k = 25). Both texts are in forms that overflow nowhere.
    Zenke & Vogels (2021), "The remarkable robustness of surrogate gradient learning".
    """
    return Surrogate(
        name="sigmoid",
        primitive="(1 + tanh(slope*u/2))/2",
        derivative="slope*exp(-slope*Abs(u))/(1 + exp(-slope*Abs(u)))**2",
        parameters=_positive(slope=slope),
        source="Zenke & Vogels (2021)",
    )


def _of_fast_sigmoid(title: str, **parameter: float) -> Surrogate:
    (name,) = parameter
    return Surrogate(
        name=title,
        primitive=f"u/(1 + {name}*Abs(u))",
        derivative=f"1/(1 + {name}*Abs(u))**2",
        parameters=_positive(**parameter),
        source="Zenke & Ganguli (2018)",
    )


def _positive(**parameters: float) -> dict[str, float]:
    for name, value in parameters.items():
        if not (value > 0 and math.isfinite(value)):
            raise ParameterError(f"{name} of a surrogate is {value}, expected a positive number")
    return parameters


def _evaluate(expression: sympy.Expr, u: ArrayLike) -> NDArray[np.float64]:
    u = np.asarray(u, dtype=np.float64)
    return np.zeros_like(u) + _compiled(expression)(u)  # a constant, too, gets the shape of u


@lru_cache(maxsize=64)
def _compiled(expression: sympy.Expr) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    return sympy.lambdify(U, expression, modules=["scipy", "numpy"])
