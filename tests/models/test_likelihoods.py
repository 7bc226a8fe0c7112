"""Likelihoods against golden values, closed forms, quadrature and finite differences."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.integrate import quad

from genmem.models import Bernoulli, ConstantGaussian, Gaussian, LogitSpace, SquaredError
from genmem.models.likelihoods import Likelihood

ALL = {
    "bernoulli": Bernoulli,
    "gaussian": Gaussian,
    "gaussian bounded": lambda: Gaussian(min_logvar=-7.0),
    "gaussian logit": lambda: Gaussian(LogitSpace()),
    "constant": ConstantGaussian,
    "constant logit": lambda: ConstantGaussian(LogitSpace()),
    "squared error": SquaredError,
}


def f64(values: object) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def one(likelihood: Likelihood, x: object, raw: object) -> float:
    """log p(x | z) of one sample and one draw."""
    value = likelihood.double().requires_grad_(False).log_prob(f64(x)[None], f64(raw)[None, None])
    assert value.shape == (1, 1)
    return float(value)


def draw(likelihood: Likelihood, samples: int, draws: int, d: int) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(3)
    x = torch.rand(samples, d, generator=generator, dtype=torch.float64)
    shape = (samples, draws, likelihood.per_value * d)
    return x, torch.randn(shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(
    ("s", "x", "want"),
    [
        (3, 1, -0.048587351574),
        (3, 0, -3.048587351574),
        (-40, 1, -40),
        (1000, 0, -1000),
        (1000, 1, 0),
        (-1000, 0, 0),
        (-1000, 1, -1000),
    ],
)
def test_bernoulli_golden_values(s: float, x: float, want: float) -> None:
    assert abs(one(Bernoulli(), [x], [s]) - want) <= 1e-11


def test_a_sure_bernoulli_keeps_its_smallest_loss() -> None:
    assert abs(one(Bernoulli(), [0], [-40]) / -4.248354255292e-18 - 1) <= 1e-12


def test_bernoulli_is_exact_at_every_logit() -> None:
    s = np.linspace(-60, 60, 2401)
    for x in (0.0, 0.3, 1.0):
        grid = torch.full((2401, 1), x, dtype=torch.float64)
        got = Bernoulli().log_prob(grid, torch.from_numpy(s)[:, None, None])[:, 0].numpy()
        want = x * s - np.logaddexp(0, s)
        assert (np.abs(got - want) <= 1e-14 * (1 + np.abs(s))).all()


def test_bernoulli_float32_agrees_with_float64_where_logits_are_large() -> None:
    s = torch.linspace(-120, 120, 4801)
    x = (torch.arange(4801) % 2).to(torch.float32)
    narrow = Bernoulli().log_prob(x[:, None], s[:, None, None]).double()
    wide = Bernoulli().log_prob(x[:, None].double(), s[:, None, None].double())
    assert narrow.shape == wide.shape == (4801, 1)
    assert ((narrow - wide).abs() <= 1e-6 * (1 + s[:, None].abs())).all()


def test_gaussian_golden_value() -> None:
    got = one(Gaussian(), [0.5, -1], [0, 1, 0, -2])
    assert abs(got - -15.740989264271) <= 1e-11


def test_logit_space_golden_values() -> None:
    v, u = np.array([0, 128, 255]), np.array([0.5, 0.25, 0.75])
    x = f64((v + u) / 256)
    y = LogitSpace().observe(x)
    want = f64([-2.908034554739, 0.003515628621, 2.926087969750])
    assert ((y - want).abs() <= 1e-11).all()
    log_y = one(Gaussian(), y.tolist(), [0] * 6)
    assert abs(log_y - -11.266149668573) <= 1e-11
    assert abs(one(Gaussian(LogitSpace()), x.tolist(), [0] * 6) - -20.786615124670) <= 1e-11


def test_logit_space_integrates_to_the_mass_inside_the_pixels() -> None:
    """A normal in logit space puts 0.99676 of its mass on pixel values 0..256."""

    def density(value: float) -> float:
        return math.exp(one(Gaussian(LogitSpace()), [value / 256], [0, 0]))

    mass, error = quad(density, 0, 256, epsabs=1e-11, epsrel=1e-11)
    edge = float(LogitSpace().observe(f64([1.0])))
    assert error <= 1e-9
    assert abs(mass - (stats.norm.cdf(edge) - stats.norm.cdf(-edge))) <= 1e-9
    assert abs(mass - 0.99676) <= 5e-6


def test_log_volume_is_the_log_derivative_of_the_space() -> None:
    space, step = LogitSpace(), 1e-6
    x = torch.linspace(0.01, 0.99, 41, dtype=torch.float64)
    slope = (space.observe(x + step) - space.observe(x - step)) / (2 * step)
    want = torch.log(slope / 256)
    assert ((space.log_volume(x[:, None]) - want).abs() <= 1e-8).all()
    assert ((space.invert(space.observe(x)) - x).abs() <= 1e-14).all()


def test_squared_error_is_the_gaussian_of_variance_one_half() -> None:
    x, raw = draw(SquaredError(), 4, 3, 5)
    mu = torch.sigmoid(raw)
    half = torch.full_like(mu, math.log(0.5))
    want = Gaussian().log_prob(x, torch.cat([mu, half], -1))
    got = SquaredError().log_prob(x, raw)
    assert got.shape == (4, 3)
    assert ((got - want).abs() <= 1e-12).all()
    sq_error = (x[:, None] - mu).square().sum(-1)
    assert ((-got - (sq_error + 2.5 * math.log(math.pi))).abs() <= 1e-12).all()


def test_constant_gaussian_is_the_gaussian_of_one_log_variance() -> None:
    constant = ConstantGaussian().double()
    assert [tuple(p.shape) for p in constant.parameters()] == [(1, 1)]
    assert constant.logvar.weight.item() == -2
    x, mu = draw(constant, 4, 3, 5)
    want = Gaussian().log_prob(x, torch.cat([mu, torch.full_like(mu, -2)], -1))
    assert ((constant.log_prob(x, mu) - want).abs() <= 1e-12).all()


def test_gaussian_against_scipy() -> None:
    x, raw = draw(Gaussian(), 3, 2, 4)
    mu, logvar = (part.numpy() for part in raw.chunk(2, -1))
    want = stats.norm.logpdf(x.numpy()[:, None], mu, np.exp(logvar / 2)).sum(-1)
    assert (np.abs(Gaussian().log_prob(x, raw).numpy() - want) <= 1e-12).all()


def test_bound_on_the_log_variance() -> None:
    free, bounded = Gaussian(), Gaussian(min_logvar=-7.0)
    assert one(bounded, [0.5], [0.5, -6.9]) == one(free, [0.5], [0.5, -6.9])
    assert one(bounded, [0.5], [0.5, -30]) == one(free, [0.5], [0.5, -7])
    assert one(free, [0.5], [0.5, -30]) > one(free, [0.5], [0.5, -7]) + 11


@pytest.mark.parametrize("name", ALL)
def test_one_number_per_draw_is_that_of_the_draw_alone(name: str) -> None:
    likelihood = ALL[name]().double().requires_grad_(False)
    x, raw = draw(likelihood, 3, 4, 7)
    got = likelihood.log_prob(x, raw)
    assert got.shape == (3, 4)
    for i in range(3):
        for k in range(4):
            alone = likelihood.log_prob(x[i : i + 1], raw[i : i + 1, k : k + 1])
            assert abs(float(got[i, k] - alone)) <= 1e-12


@pytest.mark.parametrize("name", ALL)
def test_values_add_up(name: str) -> None:
    """The likelihood of a sample is the product of those of its values."""
    likelihood = ALL[name]().double().requires_grad_(False)
    x, raw = draw(likelihood, 1, 1, 6)
    columns = raw.view(likelihood.per_value, 6)
    alone = sum(one(likelihood, [float(x[0, j])], columns[:, j].tolist()) for j in range(6))
    assert abs(float(likelihood.log_prob(x, raw)) - alone) <= 1e-12


@pytest.mark.parametrize("name", ALL)
def test_gradients_by_finite_differences(name: str) -> None:
    likelihood = ALL[name]().double()
    x, raw = draw(likelihood, 2, 2, 3)
    assert torch.autograd.gradcheck(
        lambda outputs: likelihood.log_prob(x, outputs), raw.requires_grad_(), atol=1e-6
    )


@pytest.mark.parametrize("name", ALL)
def test_means_are_pictures(name: str) -> None:
    likelihood = ALL[name]().double()
    mean = likelihood.mean(30 * torch.randn(50, likelihood.per_value * 4, dtype=torch.float64))
    assert mean.shape == (50, 4)
    assert ((mean >= 0) & (mean <= 1)).all()


def test_the_likeliest_picture_is_the_mean() -> None:
    raw = f64([0.3, 0.9, 0.5])
    for likelihood in (ConstantGaussian(), SquaredError()):
        mean = likelihood.mean(raw[None])[0].tolist()
        best = one(likelihood, mean, raw.tolist())
        for step in (-0.01, 0.01):
            assert one(likelihood, [m + step for m in mean], raw.tolist()) < best + 1e-12
