"""Families of action laws against mpmath at high precision, torch.distributions, scipy.stats and automatic differentiation."""

import mpmath
import numpy as np
import pytest
import torch
from policy_cases import FAMILIES, every_action, fisher_matrices, law_kl, law_log_prob, laws, parameters
from scipy import stats

from trpo.distributions import Bernoulli, Categorical, DiagonalGaussian, MultiCategorical

DISCRETE = [name for name, family in FAMILIES.items() if not isinstance(family, DiagonalGaussian)]
families = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
discrete = pytest.mark.parametrize("family", [FAMILIES[name] for name in DISCRETE], ids=DISCRETE)


# ------------------------------------------------------------------------------------------------- KL divergence


def _probabilities(logits):
    weights = [mpmath.exp(mpmath.mpf(float(x))) for x in logits]
    return [w / mpmath.fsum(weights) for w in weights]


def _kl_of_choice(a, b):
    return mpmath.fsum(p * mpmath.log(p / q) for p, q in zip(_probabilities(a), _probabilities(b), strict=True))


def exact_kl(family, a, b):
    """The textbook formula, differences and all, at a precision that outlasts them."""
    if isinstance(family, DiagonalGaussian):
        total, d = mpmath.mpf(0), family.d
        for i in range(d):
            mean_a, mean_b, log_a, log_b = (mpmath.mpf(float(x)) for x in (a[i], b[i], a[d + i], b[d + i]))
            total += (
                log_b - log_a + (mpmath.exp(2 * log_a) + (mean_a - mean_b) ** 2) / (2 * mpmath.exp(2 * log_b)) - mpmath.mpf(1) / 2
            )
        return total
    if isinstance(family, Bernoulli):
        return mpmath.fsum(_kl_of_choice([x, 0.0], [y, 0.0]) for x, y in zip(a, b, strict=True))
    parts = zip(a.split(list(family.sizes)), b.split(list(family.sizes)), strict=True)
    return mpmath.fsum(_kl_of_choice(x, y) for x, y in parts)


PAIRS = {  # deviation of the old z, deviation of the move
    "near": (1.0, 1e-8),
    "very near": (3.0, 1e-12),
    "close": (2.0, 1e-3),
    "at the seam of the series": (1.0, 0.1),
    "apart": (1.0, 1.0),
    "far": (50.0, 50.0),
}


@families
@pytest.mark.parametrize("pair", PAIRS)
def test_kl_is_right_to_rounding_near_and_far(family, pair):
    scale, move = PAIRS[pair]
    old = parameters(family, 6, scale, 1)
    new = old + parameters(family, 6, move, 2)
    found = family.kl(old, new)
    with mpmath.workdps(200):
        for n in range(len(old)):
            # an ulp of a logit of size `scale` is a relative error of its difference, and the move enters squared
            assert float(found[n]) == pytest.approx(float(exact_kl(family, old[n], new[n])), rel=2e-13, abs=1e-300)


@families
def test_kl_of_saturated_laws_is_finite_and_right(family):
    if isinstance(family, DiagonalGaussian):  # deviations from e^-300 to e^300: KL up to e^1200 overflows, so e^-100 to e^100
        old, new = 100 * (2.0 * (parameters(family, 40, 1, 0) > 0) - 1), 100 * (2.0 * (parameters(family, 40, 1, 1) > 0) - 1)
    else:
        old, new = 1000 * (2.0 * (parameters(family, 40, 1, 0) > 0) - 1), 1000 * (2.0 * (parameters(family, 40, 1, 1) > 0) - 1)
    found = family.kl(old, new)
    assert torch.isfinite(found).all()
    with mpmath.workdps(2000):
        for n in range(len(old)):
            assert float(found[n]) == pytest.approx(float(exact_kl(family, old[n], new[n])), rel=1e-12, abs=1e-300)


def test_kl_sees_an_option_of_tiny_probability_appear():
    """log p = -50, and the new law prefers it: no term of the sum may be lost, though e^-50 is below an ulp of 1."""
    old, new = torch.tensor([[0.0, -50.0]]).double(), torch.tensor([[0.0, -30.0]]).double()
    with mpmath.workdps(100):
        expected = float(exact_kl(Categorical(2), old[0], new[0]))
    assert expected == pytest.approx(np.exp(-30), rel=1e-6)  # log(1 + e^-30) - log(1 + e^-50) - 20 e^-50
    assert float(Categorical(2).kl(old, new)) == pytest.approx(expected, rel=1e-12, abs=0)


@families
def test_kl_is_never_negative_and_zero_for_the_same_law(family):
    for scale in (1e-3, 1.0, 30.0, 900.0 if not isinstance(family, DiagonalGaussian) else 30.0):
        old = parameters(family, 300, scale, 3)
        for move in (0.0, 1e-300, 1e-17, 1e-9, 1.0, scale):
            kl = family.kl(old, old + parameters(family, 300, move, 4))
            assert (kl >= 0).all()
            assert torch.isfinite(kl).all()
        assert (family.kl(old, old) == 0).all()
    if isinstance(family, MultiCategorical):
        old = torch.round(parameters(family, 300, 3.0, 5) * 64) / 64  # so that the shift is exact
        assert (family.kl(old, old + 1000) == 0).all()


@families
def test_kl_agrees_with_torch(family):
    old, new = parameters(family, 50, 1.0, 6), parameters(family, 50, 1.0, 7)
    torch.testing.assert_close(family.kl(old, new), law_kl(family, old, new), rtol=1e-9, atol=1e-12)


def test_the_law_that_moves_its_deviation_to_zero_has_no_nan():
    old, new = torch.zeros(1, 2).double(), torch.tensor([[0.0, -1000.0]]).double()
    assert DiagonalGaussian(1).kl(old, new).item() == np.inf  # e^2000 / 2
    assert DiagonalGaussian(1).kl(new, old).item() == pytest.approx(999.5)  # log e^1000 - 1/2


@families
def test_kl_of_single_precision_is_computed_in_double(family):
    old = parameters(family, 20, 1.0, 8).float()
    new = old + parameters(family, 20, 1e-3, 9).float()
    found = family.kl(old, new)
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, family.kl(old.double(), new.double()), rtol=0, atol=0)


# ------------------------------------------------------------------------------------------------- sampling


@discrete
def test_frequencies_of_samples(family):
    z = parameters(family, 1, 1.0, 10)
    count = 40_000
    drawn = family.sample(z.expand(count, -1), family.noise(count, np.random.default_rng(11)))
    assert drawn.shape == (count, family.D)
    assert drawn.dtype == torch.int64
    actions = every_action(family)
    p = law_log_prob(family, z, actions[None]).exp()[0]
    seen = (drawn[:, None] == actions).all(-1).double().mean(0)
    assert p.sum() == pytest.approx(1)
    assert ((seen - p).abs() <= 5 * (p * (1 - p) / count).sqrt() + 1e-12).all()  # 5 deviations, at most 24 cells: 1e-5


def test_samples_of_a_gaussian_pass_kolmogorov_smirnov():
    family = DiagonalGaussian(2)
    z = torch.tensor([[1.0, -2.0, 0.5, -1.0]]).double()
    drawn = family.sample(z.expand(20_000, -1), family.noise(20_000, np.random.default_rng(12))).numpy()
    for column in range(2):
        law = stats.norm(float(z[0, column]), np.exp(float(z[0, 2 + column])))
        assert stats.kstest(drawn[:, column], law.cdf).pvalue > 1e-3  # a fixed seed: fails for a thousandth of them


@families
def test_samples_rise_with_the_noise(family):
    grid = np.linspace(0, 1, 1001)[:-1] if not isinstance(family, DiagonalGaussian) else np.linspace(-4, 4, 1001)
    noise = torch.as_tensor(np.repeat(np.sort(grid)[:, None], family.D, axis=1))
    for seed in range(5):
        drawn = family.sample(parameters(family, 1, 2.0, seed).expand(len(noise), -1), noise)
        assert (drawn[1:] >= drawn[:-1]).all()


@discrete
def test_an_option_of_no_probability_is_never_drawn(family):
    ends = torch.tensor([[0.0], [np.nextafter(1.0, 0.0)]]).double().expand(-1, family.D)
    for seed in range(10):
        z = 2000 * (parameters(family, 2, 1.0, seed) > 0) - 1000.0  # exp(-1000) is 0
        assert (law_log_prob(family, z, family.sample(z, ends)[:, None]) > -100).all()


@families
def test_noise_is_seeded(family):
    a, b, c = (family.noise(7, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert a.shape == (7, family.D)
    assert a.dtype == torch.float64
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


@families
def test_mode_is_the_likeliest_action(family):
    z = parameters(family, 20, 1.0, 13)
    mode = family.mode(z)
    assert mode.shape == (20, family.D)
    if isinstance(family, DiagonalGaussian):
        others = mode[:, None] + torch.as_tensor(np.random.default_rng(0).normal(scale=0.1, size=(20, 50, family.D)))
    else:
        others = every_action(family).expand(20, -1, -1)
    assert (law_log_prob(family, z, mode[:, None]) >= law_log_prob(family, z, others)).all()


# ------------------------------------------------------------------------------------------------- densities and derivatives


def some_actions(family, z, m, seed=0):
    rng = np.random.default_rng(seed)
    return torch.stack([family.sample(z, family.noise(len(z), rng)) for _ in range(m)], 1)


@families
@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_log_prob(family, scale):
    z = parameters(family, 12, scale if not isinstance(family, DiagonalGaussian) else 1.0, 14)
    actions = some_actions(family, z, 3)
    torch.testing.assert_close(family.log_prob(z, actions), law_log_prob(family, z, actions), rtol=1e-11, atol=1e-11)
    if isinstance(family, DiagonalGaussian):
        mean, std = z[:, None, :2].numpy(), np.exp(z[:, None, 2:].numpy())
        np.testing.assert_allclose(family.log_prob(z, actions), stats.norm.logpdf(actions.numpy(), mean, std).sum(-1), rtol=1e-12)


@families
def test_log_prob_is_finite_for_saturated_laws(family):
    z = (
        1000 * torch.sign(parameters(family, 20, 1.0, 15))
        if not isinstance(family, DiagonalGaussian)
        else 30 * parameters(family, 20, 1, 15)
    )
    assert torch.isfinite(family.log_prob(z, some_actions(family, z.flip(0), 4))).all()


@families
def test_score_is_the_gradient_of_log_prob(family):
    z = parameters(family, 9, 1.0, 16).requires_grad_()
    actions = some_actions(family, z.detach(), 4)
    found = family.score(z.detach(), actions)
    for m in range(4):
        (expected,) = torch.autograd.grad(law_log_prob(family, z, actions)[:, m].sum(), z)
        torch.testing.assert_close(found[:, m], expected, rtol=1e-10, atol=1e-12)


def test_kl_where_the_old_probability_underflows_and_the_new_one_does_not():
    """KL((1, e^-760) || (1, e^-60)) = e^-60 up to rounding: no float holds e^-760, and e^700 times it counts."""
    old, new = torch.tensor([[0.0, -760.0]]).double(), torch.tensor([[0.0, -60.0]]).double()
    assert Categorical(2).kl(old, new).item() == pytest.approx(np.exp(-60), rel=1e-12, abs=0)


def dense(R):
    return torch.diag_embed(R) if R.ndim == 2 else R


def squared(family, z):
    R = dense(family.root(z))
    return R.mT @ R


@families
def test_the_root_squares_to_the_hessian_of_kl(family):
    z = parameters(family, 5, 0.8, 17)
    torch.testing.assert_close(squared(family, z), fisher_matrices(family, z), rtol=1e-9, atol=1e-11)


@discrete
def test_the_root_squares_to_the_mean_of_squared_scores(family):
    z, actions = parameters(family, 5, 1.0, 18), every_action(family)
    p = law_log_prob(family, z, actions.expand(5, -1, -1)).exp()
    score = family.score(z, actions.expand(5, -1, -1))
    torch.testing.assert_close((p[..., None] * score).sum(1), torch.zeros_like(z), rtol=0, atol=1e-14)
    expected = torch.einsum("nm,nmi,nmj->nij", p, score, score)
    torch.testing.assert_close(squared(family, z), expected, rtol=1e-11, atol=1e-14)


def test_the_root_of_a_gaussian_squares_to_the_mean_of_squared_scores():
    """By Gauss-Hermite quadrature, exact for the polynomials of degree 4 that squared scores are."""
    family, z = DiagonalGaussian(1), torch.tensor([[0.3, -0.7]], dtype=torch.float64)
    nodes, weights = np.polynomial.hermite_e.hermegauss(6)
    actions = torch.as_tensor(0.3 + np.exp(-0.7) * nodes)[None, :, None]
    score = family.score(z, actions)[0]
    expected = torch.einsum("m,mi,mj->ij", torch.as_tensor(weights / weights.sum()), score, score)
    torch.testing.assert_close(squared(family, z)[0], expected, rtol=1e-12, atol=1e-12)


def test_the_root_has_no_row_for_what_changes_no_law():
    assert Categorical(4).root(torch.zeros(3, 4)).shape == (3, 3, 4)
    assert MultiCategorical((3, 1, 2)).root(torch.zeros(5, 6)).shape == (5, 3, 6)


@pytest.mark.parametrize("z", [[80, 0, -1], [-700, 0, -3], [0, -300, -600], [0, -2000, -1], [0, -1, -2000], [0, -2000, -3000]])
def test_the_root_of_near_certain_laws_cancels_nothing(z):
    """The root of v' F v, the variance of v, to full relative accuracy."""
    with mpmath.workdps(700):
        weights = [mpmath.exp(x) for x in z]
        p = [w / mpmath.fsum(weights) for w in weights]
        for v in ((1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 0, -1), (2, 3, 3)):
            mean = mpmath.fdot(p, v)
            variance = mpmath.fsum(q * (x - mean) ** 2 for q, x in zip(p, v, strict=True))
            found = Categorical(3).root(torch.tensor([z]).double())[0] @ torch.tensor(v, dtype=torch.float64)
            assert float(found.norm()) == pytest.approx(float(mpmath.sqrt(variance)), rel=1e-12, abs=1e-154)


def test_the_root_of_a_near_certain_bit_is_not_rounded_to_zero():
    assert Bernoulli(1).root(torch.tensor([[45.0]]).double()).item() == pytest.approx(np.exp(-22.5), rel=1e-12, abs=0)


@families
def test_entropy(family):
    z = parameters(family, 20, 1.0, 19)
    torch.testing.assert_close(family.entropy(z), sum(law.entropy() for law in laws(family, z)), rtol=1e-11, atol=1e-12)
    saturated = family.entropy(1000 * torch.sign(z))
    assert not torch.isnan(saturated).any()
    if not isinstance(family, DiagonalGaussian):
        assert (saturated >= 0).all()


def test_entropy_of_a_near_certain_bit():
    with mpmath.workdps(60):
        p = 1 / (1 + mpmath.exp(-40))
        expected = float(-p * mpmath.log(p) - (1 - p) * mpmath.log(1 - p))
    for sign in (1, -1):
        assert Bernoulli(1).entropy(torch.tensor([[40.0 * sign]]).double()).item() == pytest.approx(expected, rel=1e-12, abs=0)


@families
def test_sizes(family):
    z = parameters(family, 2, 1.0, 0)
    assert z.shape[1] == family.K == family.score(z, some_actions(family, z, 1)).shape[-1]
    assert family.mode(z).shape[1] == family.D == family.noise(1, np.random.default_rng(0)).shape[1]
