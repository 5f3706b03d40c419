"""Means with covariances, means with standard deviations, and the polynomial kernel, which sees the same moments."""

from torch import Tensor

from nst_lab.config.schema import Loss
from nst_lab.losses.statistics.measuring import Measured, covariance, moments
from nst_lab.losses.terms import squared_error

EPS = 1e-5  # under the root of a variance, as in batch normalisation


class Moments:
    """E = mean or sum of (μ − ν)² over the filters plus that of (Σ − T)² over the covariances.

    Σ = F Fᵀ / M − μ μᵀ: a Gram matrix that is told apart into where the activations are and how they spread.
    """

    def __init__(self, loss: Loss):
        self.reduction = loss.style_reduction

    def measure(self, features: Tensor, guide: Tensor | None = None) -> Measured:
        return moments(features, guide)

    def target(self, measured: Measured) -> Measured:
        mean, second_moment = measured
        return mean, covariance(mean, second_moment)

    def distance(self, measured: Measured, target: Measured) -> Tensor:
        pairs = zip(self.target(measured), target, strict=True)
        means, spreads = (squared_error(value, wanted, self.reduction) for value, wanted in pairs)
        return means + spreads


class BatchNorm:
    """E = (‖μ − ν‖² + ‖σ − τ‖²) / N over the filters' means and standard deviations (Li et al. 2017, section 4.2).

    `style_reduction: sum` leaves the 1/N out. σ² = mean(F²) − μ² + 1e-5, the ε of batch normalisation: the root of the
    variance alone has no gradient where a filter is constant. Measured are μ and mean(F²), which may be averaged.
    """

    def __init__(self, loss: Loss):
        self.reduction = loss.style_reduction

    def measure(self, features: Tensor, guide: Tensor | None = None) -> Measured:
        weighted = features if guide is None else features * guide.square()
        return weighted.mean((-2, -1)), (weighted * features).mean((-2, -1))

    def target(self, measured: Measured) -> Measured:
        mean, mean_square = measured
        # Rounding leaves a constant filter a variance of about -1e-7 mean².
        return mean, ((mean_square - mean.square()).clamp_min(0) + EPS).sqrt()

    def distance(self, measured: Measured, target: Measured) -> Tensor:
        pairs = zip(self.target(measured), target, strict=True)
        means, spreads = (squared_error(value, wanted, self.reduction) for value, wanted in pairs)
        return means + spreads


class PolynomialMmd:
    """MMD² with the kernel k(f, s) = (fᵀs / N + c)², the squared distance of the kernel's mean embeddings.

    MMD² = mean k(f, f′) + mean k(s, s′) − 2 mean k(f, s) over all pairs of positions = mean of (G − A)² over the second
    moments + 2 c · mean of (μ − ν)² over the filters, which is how it is computed: exactly, without a sample of pairs
    (Li et al. 2017, section 4.1, where c = 0 gives Gram matrices). `style_reduction: sum` is the kernel (fᵀs + c)².
    """

    def __init__(self, loss: Loss):
        self.reduction, self.constant = loss.style_reduction, loss.mmd_c

    def measure(self, features: Tensor, guide: Tensor | None = None) -> Measured:
        return moments(features, guide)

    def target(self, measured: Measured) -> Measured:
        return measured

    def distance(self, measured: Measured, target: Measured) -> Tensor:
        means, second_moments = (squared_error(a, b, self.reduction) for a, b in zip(measured, target, strict=True))
        return second_moments + 2 * self.constant * means
