"""Tail probabilities that turn counts into evidence: how odd are these failures, on a scale of powers of ten."""

from __future__ import annotations

import math

from scipy.special import betainc  # type: ignore[import-untyped]

_TINY = 1e-300


def tail_surprise(failures: float, requests: float, prior_failures: float, prior_requests: float) -> float:
    """Return log1p(-log10 P(>= failures in requests)) under a Gamma-Poisson prior.

    The rate is Gamma(prior_failures, prior_requests), so that the count is negative binomial and its upper tail is the
    regularised incomplete beta I_x(failures, prior_failures), x = requests / (requests + prior_requests). 0 without
    failures.
    """
    if failures <= 0 or requests <= 0:
        return 0.0
    tail = float(betainc(failures, max(prior_failures, 1e-6), requests / (requests + max(prior_requests, 1e-6))))
    return math.log1p(-math.log10(max(tail, _TINY)))


def wilson_lower(failures: float, requests: float, z: float = 1.96) -> float:
    """Return the lower bound of Wilson's interval of a share; 0 without requests."""
    if requests <= 0:
        return 0.0
    share, z2 = failures / requests, z * z
    centre = share + z2 / (2 * requests)
    spread = z * math.sqrt(max(0.0, share * (1 - share) / requests + z2 / (4 * requests * requests)))
    return max(0.0, (centre - spread) / (1 + z2 / requests))


def _log_likelihood(failures: float, requests: float) -> float:
    if failures <= 0 or failures >= requests:
        return 0.0
    return failures * math.log(failures / requests) + (requests - failures) * math.log(1 - failures / requests)


def contrast(failures: float, requests: float, other_failures: float, other_requests: float) -> float:
    """Return the signed root of the likelihood ratio of two shares of failures: how much worse here than elsewhere.

    Positive where the first share is higher; in standard deviations for large counts (Wilks). 0 where either is empty.
    """
    if requests <= 0 or other_requests <= 0:
        return 0.0
    together = _log_likelihood(failures + other_failures, requests + other_requests)
    apart = _log_likelihood(failures, requests) + _log_likelihood(other_failures, other_requests)
    root = math.sqrt(max(0.0, 2.0 * (apart - together)))
    return root if failures * other_requests >= other_failures * requests else -root
