"""Every claim of the catalogue: theorems hold, false statements break, constants are pinned from both sides."""

import checks
import numpy as np
import pytest

from bounds import CATALOGUE, compare
from bounds.errata import ERRATA
from bounds.instances import STRUCTURED
from mdps import MDP, stack
from mdps.families import garnet

BY_HAND = (checks.right_side_by_hand, checks.statement_by_hand)


def shipped(claim):
    """Whether a claim is the project's: a user's own, from ``pytest -p my_bounds``, was not worked out on paper."""
    return claim.statement.__module__.partition(".")[0] == "bounds"


CASES = [
    pytest.param(claim, check, id=f"{claim.id}-{check.__name__}")
    for claim in CATALOGUE.values()
    for check in checks.checks_of(claim)
    if shipped(claim) or check not in BY_HAND
]


@pytest.mark.parametrize(("claim", "check"), CASES)
def test_claim(claim, check):
    check(claim)


@pytest.mark.parametrize("claim", [c for c in CATALOGUE.values() if c.status != "theorem"], ids=lambda c: c.id)
def test_a_claim_can_be_read_everywhere(claim):
    """No comparison of the bank makes a side nan or negative, which raises; theorems are read by ``theorem_holds``."""
    for cell in checks.bank():
        assert claim.usage(cell.comparison).shape == cell.comparison.batch, (cell.mdp, cell.pairing)


def test_the_bank_is_large_and_holds_the_edge_cases():
    cells = checks.bank()
    assert sum(np.prod(cell.comparison.batch) for cell in cells) >= 100_000
    seen = {
        "gamma = 0": any((c.comparison.gamma == 0).any() for c in cells),
        "new = old": any((c.comparison.tv_max == 0).any() for c in cells),
        "infinite KL": any(np.isinf(c.comparison.kl_max).any() for c in cells),
        "infinite reverse KL": any(np.isinf(c.comparison.kl_reverse_max).any() for c in cells),
        "deterministic": any((c.comparison.old.pi.max(-1) == 1).all() for c in cells),
        "unreachable": any((c.comparison.old.rho == 0).any() for c in cells),
        "one state": any(c.comparison.mdp.S == 1 for c in cells),
        "tiny distance": any(((c.comparison.tv_max > 0) & (c.comparison.tv_max < 2e-6)).any() for c in cells),
    }
    assert all(seen.values()), seen


def test_supremum_list_names_claims():
    assert set(checks.SUPREMUM_ONE) <= set(CATALOGUE)


@pytest.mark.parametrize("erratum", [e for e in ERRATA if e.instances], ids=lambda e: e.id)
def test_errata_instances_show_the_error(erratum):
    """At gamma = 0.9 the named small instances break every false claim the erratum cites."""
    cases = [compare(*STRUCTURED[name](0.9)) for name in erratum.instances]
    false = [name for name in erratum.claims if CATALOGUE[name].status == "false"]
    assert false
    shown = {name: max(float(CATALOGUE[name].usage(c).max()) for c in cases) for name in false}
    assert min(shown.values()) > 1, shown


def test_errata_cite_claims():
    assert {name for e in ERRATA for name in e.claims} <= set(CATALOGUE)
    assert len({e.id for e in ERRATA}) == len(ERRATA)


# -- what must leave every usage unchanged -------------------------------------------------------------------------------------


def plain_case():
    rng = np.random.default_rng(7)
    mdp = garnet(4, 3, 3, gamma=0.9, seed=rng)
    return mdp, rng.dirichlet(np.ones(3), 4), rng.dirichlet(np.ones(3), 4)


def scaled(mdp, old, new):
    return MDP(mdp.P, 3.7 * mdp.R + 11.0, mdp.rho0, mdp.gamma), old, new


def relabelled(mdp, old, new):
    s, a = [2, 0, 3, 1], [1, 2, 0]
    return MDP(mdp.P[s][:, a][:, :, s], mdp.R[s][:, a], mdp.rho0[s], mdp.gamma), old[s][:, a], new[s][:, a]


def duplicated(mdp, old, new):
    """State 0 twice, each copy entered half of the time."""
    s = [0, 0, 1, 2, 3]
    share = np.array([0.5, 0.5, 1, 1, 1])
    return MDP(mdp.P[s][:, :, s] * share, mdp.R[s], mdp.rho0[s] * share, mdp.gamma), old[s], new[s]


RATIO_FREE = {"note-27"}  # its two sides shift differently with the reward, which is what is wrong with it
ROUNDED = [c for c in CATALOGUE.values() if c.kind in ("identity", "guarantee") and c.status == "theorem"]
MEASURED = [c for c in CATALOGUE.values() if c.kind in ("bound", "lemma") and c.id not in RATIO_FREE]
NOT_SHIFTED = {"single-path"}  # in units of max |Q|, which a shift of the reward changes
NOT_DUPLICATED = {
    "kemeny-zhang-ross",
    "kemeny-gap",
    "softmax-smooth",
    "l2-step",
    "natural-step",
}  # speak of parameters or of the chain itself


@pytest.mark.parametrize("claim", MEASURED, ids=lambda c: c.id)
def test_usage_is_invariant(claim):
    case = plain_case()
    usage = float(claim.usage(compare(*case)))
    assert usage > 0
    changes = [relabelled]
    if claim.id not in NOT_SHIFTED:
        changes.append(scaled)
    if claim.id not in NOT_DUPLICATED:
        changes.append(duplicated)
    for change in changes:
        np.testing.assert_allclose(float(claim.usage(compare(*change(*case)))), usage, rtol=1e-9, err_msg=change.__name__)
    mdp, old, new = case
    batch = claim.usage(compare(stack([mdp, mdp]), np.stack([old, new]), np.stack([new, old])))
    np.testing.assert_allclose(batch[0], usage, rtol=1e-13)
    np.testing.assert_allclose(batch[1], float(claim.usage(compare(mdp, new, old))), rtol=1e-13)


@pytest.mark.parametrize("claim", ROUNDED, ids=lambda c: c.id)
def test_identities_hold_after_every_change(claim):
    for change in (scaled, relabelled, duplicated):
        assert claim.holds(compare(*change(*plain_case()))), change.__name__


@pytest.mark.parametrize("claim", [c for c in CATALOGUE.values() if c.status != "false"], ids=lambda c: c.id)
def test_nothing_is_charged_for_standing_still(claim):
    """new = old: every side of every bound is zero, and no usage is nan."""
    mdp, old, _ = plain_case()
    c = compare(mdp, old, old)
    assert float(c.gap) == 0
    assert claim.holds(c)
    if claim.kind == "bound":
        assert float(claim.penalty(c)) == 0
