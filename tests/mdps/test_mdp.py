"""Tables are checked once, and a wrong one says what is wrong and where."""

import numpy as np
import pytest
import torch

from mdps import MDP, evaluate, stack, uniform_policy

P = np.array([[[0.5, 0.5], [1.0, 0.0]], [[0.25, 0.75], [0.0, 1.0]]])  # [S, A, S]
R = np.array([[1.0, 0.0], [2.0, -1.0]])
START = np.array([1.0, 0.0])


def changed(table, index, value):
    table = table.copy()
    table[index] = value
    return table


WRONG = {
    "row sum": ((changed(P, (1, 0, 0), 0.5), R, START, 0.9), r"P\[1, 0\] sums to 1.25"),
    "negative": ((changed(P, (0, 1, 0), -0.5), R, START, 0.9), r"P\[0, 1, 0\] is -0.5; .*negative"),
    "nan": ((changed(P, (0, 0, 1), np.nan), R, START, 0.9), r"P\[0, 0, 1\] is nan"),
    "inf reward": ((P, changed(R, (1, 1), np.inf), START, 0.9), r"R\[1, 1\] is inf"),
    "start sum": ((P, R, [0.7, 0.7], 0.9), r"rho0 sums to 1.4"),
    "gamma one": ((P, R, START, 1.0), r"gamma is 1.0; expected 0 <= gamma < 1"),
    "gamma negative": ((P, R, START, [0.5, -0.1]), r"gamma\[1\] is -0.1"),
    "P shape": ((P[:, :, :1], R, START, 0.9), r"P has shape \(2, 2, 1\)"),
    "R shape": ((P, R[:, :1], START, 0.9), r"R has shape \(2, 1\)"),
    "rho0 shape": ((P, R, [1.0], 0.9), r"rho0 has shape \(1,\)"),
    "batch": ((np.stack([P] * 3), np.stack([R] * 2), START, 0.9), r"batch axes do not broadcast"),
    "empty batch": ((np.empty((0, 2, 2, 2)), R, START, 0.9), r"empty MDP"),
    "text": (("P", R, START, 0.9), r"P cannot be read"),
    "ragged": ((P, [[1.0, 0.0], [1.0]], START, 0.9), r"R cannot be read"),
    "with a gradient": ((torch.tensor(P, requires_grad=True), R, START, 0.9), r"P cannot be read.*detach"),
    "complex": ((P, R + 1j, START, 0.9), r"R is complex"),
    "none": ((P, None, START, 0.9), r"R is None"),
    "masked P": ((np.ma.masked_array(P, P == 0.75), R, START, 0.9), r"P\[1, 0, 1\] is masked; .*P\.filled"),
    "masked R": ((P, np.ma.masked_array(R, R == 2), START, 0.9), r"R\[1, 0\] is masked"),
    "masked rho0": ((P, R, np.ma.masked_array(START, START == 0), 0.9), r"rho0\[1\] is masked"),
    "masked gamma": ((P, R, START, np.ma.masked), r"gamma is masked"),
    "overflow": ((P, R * 1e300, START, 1 - 1e-10), r"2e\+300 / \(1 - gamma\) overflow; rescale R"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_tables(case):
    tables, message = WRONG[case]
    with pytest.raises(ValueError, match=message):
        MDP(*tables)


WRONG_POLICIES = {
    "actions": (np.full((2, 3), 1 / 3), r"pi has shape \(2, 3\)"),
    "row": ([[0.5, 0.5], [0.9, 0.2]], r"pi\[1\] sums to 1.1"),
    "negative": ([[1.5, -0.5], [0.5, 0.5]], r"pi\[0, 1\] is"),
    "nan": ([[np.nan, 1.0], [0.5, 0.5]], r"pi\[0, 0\] is nan"),
    "masked": (np.ma.masked_array(np.full((2, 2), 0.5), [[0, 0], [0, 1]]), r"pi\[1, 1\] is masked; .*pi\.filled"),
    "batch": (np.full((3, 2, 2), 0.5), r"do not broadcast"),
    "empty": (np.empty((0, 2, 2)), r"empty batch"),
}


@pytest.mark.parametrize("case", WRONG_POLICIES)
def test_wrong_policies(case):
    pi, message = WRONG_POLICIES[case]
    mdp = MDP(P, R, START, [0.5, 0.9]) if case == "batch" else MDP(P, R, START, 0.9)
    with pytest.raises(ValueError, match=message):
        evaluate(mdp, pi)


def test_a_masked_array_that_masks_nothing_is_its_numbers():
    mdp = MDP(np.ma.masked_array(P), np.ma.masked_array(R), np.ma.masked_array(START), 0.9)
    policy = np.ma.masked_array(np.full((2, 2), 0.5))
    np.testing.assert_array_equal(evaluate(mdp, policy).V, evaluate(MDP(P, R, START, 0.9), np.full((2, 2), 0.5)).V)
    assert type(mdp.P) is type(evaluate(mdp, policy).pi) is np.ndarray


def test_frozen():
    mdp = MDP(P, R, START, 0.9)
    with pytest.raises(AttributeError):
        mdp.gamma = 0.5
    with pytest.raises(ValueError, match="read-only"):
        mdp.P[0, 0, 0] = 1.0


def test_does_not_hold_on_to_the_given_arrays():
    table = P.copy()
    mdp = MDP(table, R, START, 0.9)
    table[0, 0] = [1.0, 0.0]
    assert mdp.P[0, 0, 0] == 0.5


def test_loose_rows_are_normalised():
    mdp = MDP(P * (1 + 1e-9), R, START, 0.9)
    assert np.abs(mdp.P.sum(-1) - 1).max() < 1e-15


def test_indexing_and_broadcasting():
    mdp = MDP(P, R, START, [0.0, 0.5, 0.9])
    assert mdp.batch == (3,)
    assert mdp[1].batch == ()
    assert float(mdp[1].gamma) == 0.5
    assert mdp[1:].batch == (2,)
    with pytest.raises(IndexError, match="no batch axis"):
        mdp[0][0]
    with pytest.raises(IndexError, match="no instance"):
        mdp[3:]
    np.testing.assert_array_equal(evaluate(mdp, uniform_policy(mdp))[2].V, evaluate(mdp[2], uniform_policy(mdp[2])).V)


def test_iterating():
    mdp = MDP(P, R, START, [[0.0, 0.5], [0.9, 0.8], [0.1, 0.2]])
    assert [one.gamma.tolist() for one in mdp] == mdp.gamma.tolist()
    assert [float(one.gamma) for one in mdp[0]] == [0.0, 0.5]
    with pytest.raises(TypeError, match=r"this MDP is of a single process .*; put it in a list, \[it\]"):
        list(MDP(P, R, START, 0.9))
    e = evaluate(mdp, uniform_policy(mdp))
    np.testing.assert_array_equal([one.eta for one in e], e.eta)
    with pytest.raises(TypeError, match="this Evaluation is of a single process"):
        list(e[0, 0])


def test_stack():
    one = MDP(P, R, START, 0.9)
    assert stack([one, one]).batch == (2,)
    assert stack(one for _ in range(3)).batch == (3,)
    with pytest.raises(TypeError, match="stack got list at place 1; expected MDPs"):
        stack([one, P.tolist()])
    with pytest.raises(ValueError, match="no MDP"):
        stack([])
    with pytest.raises(ValueError, match="different"):
        stack([one, stack([one])])


def test_single_precision_policies_are_read_as_their_normalisation():
    mdp = MDP(P, R, START, 0.9)
    single = np.array([[0.3, 0.7], [1 / 3, 2 / 3]], dtype=np.float32) * np.float32(1 + 1e-6)
    assert np.abs(evaluate(mdp, single).pi.sum(-1) - 1).max() < 1e-15
    with pytest.raises(ValueError, match="sums to"):
        evaluate(mdp, single.astype(float))


def test_an_index_stays_in_the_batch():
    mdp = MDP(P, R, START, [[0.0, 0.5, 0.9], [0.1, 0.2, 0.3]])
    for index, gamma in (
        (..., [0.0, 0.1]),
        ((..., 0), [0.0, 0.1]),
        ((0, ..., 2), 0.9),
        ((slice(None), [0, 2]), [[0.0, 0.9], [0.1, 0.3]]),
    ):
        picked = mdp[(..., 0) if index is ... else index]
        np.testing.assert_array_equal(picked.gamma, gamma)
        assert picked.P.shape == (*picked.batch, 2, 2, 2)
    mask = np.array([[True, False, False], [False, False, True]])
    np.testing.assert_array_equal(mdp[mask].gamma, [0.0, 0.3])
    with pytest.raises(IndexError, match="too many indices"):
        mdp[0, 1, 0]
    with pytest.raises(TypeError, match="got list as its mdp"):
        evaluate([], P)


def test_what_is_no_table_is_read_like_the_array_in_it():
    mdp = MDP(P, R, START, 0.9)
    loose = torch.tensor([[0.3, 0.7], [0.6, 0.4 + 1e-7]])  # single precision, a sum off by its rounding
    np.testing.assert_array_equal(evaluate(mdp, loose).pi, evaluate(mdp, loose.numpy()).pi)
    with pytest.raises(ValueError, match=r"pi is an Evaluation; give its table: pi\.pi"):
        evaluate(mdp, evaluate(mdp, loose))
