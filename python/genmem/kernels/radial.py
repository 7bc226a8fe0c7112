"""The normalisers of radial kernels, at any number of features."""

from __future__ import annotations

import math

KERNELS = (
    "gaussian",
    "epanechnikov",
    "biweight",
    "tophat",
    "exponential",
    "linear",
    "cosine",
)


def log_normaliser(kernel: str, d: int) -> float:
    """log c_d, c_d = integral of k(|z|) over d features; V_d is the volume of the unit ball.

    gaussian exp(-u^2/2), epanechnikov 1 - u^2, biweight (1 - u^2)^2, tophat 1, exponential exp(-u),
    linear 1 - u, cosine cos(pi u / 2); all but gaussian and exponential end at u = 1.
    """
    log_ball = 0.5 * d * math.log(math.pi) - math.lgamma(0.5 * d + 1)
    match kernel:
        case "gaussian":
            value = 0.5 * d * math.log(2 * math.pi)
        case "tophat":
            value = log_ball
        case "linear":
            value = log_ball - math.log(d + 1)
        case "exponential":
            value = log_ball + math.lgamma(d + 1)
        case "epanechnikov" | "biweight":
            q = 1 if kernel == "epanechnikov" else 2
            value = 0.5 * d * math.log(math.pi) + math.lgamma(q + 1) - math.lgamma(0.5 * d + q + 1)
        case "cosine":
            value = log_ball + math.log(_cosine_moment(d))
        case _:
            raise ValueError(
                f"log_kde: kernel is {kernel!r}; one of {', '.join(KERNELS)} is wanted"
            )
    return value


def _cosine_moment(d: int) -> float:
    """d times the integral of u^(d-1) cos(pi u / 2) over 0..1.

    By parts once, then the series of the sine: its terms fall from the first at every d, while the
    usual recurrence from d - 2 to d subtracts nearly equal numbers and is noise from d = 24 on.
    """
    total = 0.0
    for j in range(14):
        log_sine = (2 * j + 1) * math.log(math.pi / 2) - math.lgamma(2 * j + 2)
        total += (-1.0) ** j * math.exp(log_sine) / (d + 2 * j + 2)
    return math.pi / 2 * total
