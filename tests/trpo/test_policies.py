"""Encodings, networks and policies between spaces."""

import math

import numpy as np
import pytest
import torch
from gymnasium import spaces
from policy_cases import ACTION_SPACES, KINDS, POLICIES, build, observe
from torch import nn

from trpo.distributions import Bernoulli, Categorical, DiagonalGaussian, MultiCategorical
from trpo.linearise import flat_parameters
from trpo.policies import Encoder, family_of, make_network, make_policy
from trpo.threads import threads

REALS = spaces.Box(-np.inf, np.inf, (3,))
TEXT = spaces.Text(4)


@pytest.mark.parametrize("count", [1, 2])
def test_a_seed_means_the_same_weights_whatever_the_number_of_threads(count):
    box, two = spaces.Box(-1, 1, (4,)), spaces.Discrete(2)
    expected = flat_parameters(make_policy(box, two, hidden=(64, 64), seed=3))
    with threads(count):
        assert torch.equal(flat_parameters(make_policy(box, two, hidden=(64, 64), seed=3)), expected)
        assert torch.get_num_threads() == count


# ------------------------------------------------------------------------------------------------- spaces of actions

FAMILIES_OF = [
    (spaces.Discrete(4), Categorical(4)),
    (spaces.Discrete(4, start=2), Categorical(4)),
    (spaces.MultiDiscrete([2, 3]), MultiCategorical((2, 3))),
    (spaces.MultiBinary(3), Bernoulli(3)),
    (spaces.Box(-1, 1, (2,)), DiagonalGaussian(2)),
    (spaces.Box(-1, 1, (2, 3), np.float64), DiagonalGaussian(6)),
    (spaces.Box(-1, 1, ()), DiagonalGaussian(1)),
]


@pytest.mark.parametrize(("space", "family"), FAMILIES_OF, ids=str)
def test_family_of(space, family):
    assert family_of(space) == family
    assert type(family_of(space)) is type(family)


@pytest.mark.parametrize(
    "space",
    [
        TEXT,
        spaces.Tuple([spaces.Discrete(2)]),
        spaces.Dict(),
        spaces.Box(0, 9, (2,), np.int64),
        spaces.MultiDiscrete([[2, 3], [2, 3]]),
        spaces.MultiBinary([2, 2]),
    ],
    ids=str,
)
def test_action_spaces_without_a_family(space):
    with pytest.raises(ValueError, match="no policy for the action space") as error:
        family_of(space)
    assert str(space) in str(error.value)


# ------------------------------------------------------------------------------------------------- encodings

ENCODED = {  # space, observations, inputs
    "discrete": (spaces.Discrete(3), [2, 0], [[0, 0, 1], [1, 0, 0]]),
    "discrete from 5": (spaces.Discrete(3, start=5), [5, 7], [[1, 0, 0], [0, 0, 1]]),
    "discrete from -1": (spaces.Discrete(3, start=-1), [-1, 0], [[1, 0, 0], [0, 1, 0]]),
    "multi-discrete": (spaces.MultiDiscrete([2, 3]), [[1, 0], [0, 2]], [[0, 1, 1, 0, 0], [1, 0, 0, 0, 1]]),
    "multi-discrete from": (spaces.MultiDiscrete([2, 3], start=[1, -1]), [[1, -1], [2, 1]], [[1, 0, 1, 0, 0], [0, 1, 0, 0, 1]]),
    "one factor from": (spaces.MultiDiscrete([3], start=[4]), [[4], [6]], [[1, 0, 0], [0, 0, 1]]),
    "bits": (spaces.MultiBinary(3), [[1, 0, 1]], [[1, 0, 1]]),
    "reals": (REALS, [[0.5, -2, 3]], [[0.5, -2, 3]]),
    "matrix": (spaces.Box(-9, 9, (2, 2)), [[[1, 2], [3, 4]]], [[1, 2, 3, 4]]),
    "scalar": (spaces.Box(-9, 9, ()), [1.5, 2.5], [[1.5], [2.5]]),
    "integers": (spaces.Box(-9, 9, (2,), np.int64), np.array([[1, -2]]), [[1, -2]]),
    "bytes, not an image": (spaces.Box(0, 255, (2,), np.uint8), np.array([[0, 255]], np.uint8), [[0, 255]]),
    "no rows": (REALS, np.zeros((0, 3)), np.zeros((0, 3))),
    "no rows, discrete": (spaces.Discrete(3), np.zeros(0, int), np.zeros((0, 3))),
}


@pytest.mark.parametrize("name", ENCODED)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_encoding(name, dtype):
    space, observations, inputs = ENCODED[name]
    encode = Encoder(space, dtype=dtype)
    found = encode(np.asarray(observations))
    torch.testing.assert_close(found, torch.as_tensor(np.asarray(inputs), dtype=dtype), rtol=0, atol=0)
    assert found.shape[1] == encode.features


@pytest.mark.parametrize("space", [space for space, *_ in ENCODED.values()], ids=ENCODED)
def test_samples_of_a_space_can_be_encoded(space):
    space.seed(0)
    rows = np.stack([space.sample() for _ in range(20)])
    found = Encoder(space)(rows)
    assert torch.isfinite(found).all()
    if not isinstance(space, spaces.Box):
        assert set(found.unique().tolist()) <= {0.0, 1.0}


def test_images_are_scaled_and_turned_channels_first():
    image = np.arange(2 * 5 * 4 * 3).reshape(2, 5, 4, 3).astype(np.uint8)
    encode = Encoder(spaces.Box(0, 255, (5, 4, 3), np.uint8), image=True)
    torch.testing.assert_close(encode(image)[1, 2, 3, 0], torch.tensor(image[1, 3, 0, 2] / 255.0).float())
    first = Encoder(spaces.Box(0, 255, (3, 5, 9), np.uint8), image=True)
    assert first(np.zeros((2, 3, 5, 9), np.uint8)).shape == (2, 3, 5, 9)
    floats = Encoder(spaces.Box(0, 1, (5, 4, 3)), image=True)
    torch.testing.assert_close(floats(np.full((1, 5, 4, 3), 0.5)), torch.full((1, 3, 5, 4), 0.5))


REFUSED = {
    "shape": (REALS, np.zeros((2, 4)), r"shape \(2, 4\); expected \[N, ...\] with \(3,\)"),
    "one observation": (REALS, np.zeros(3), r"shape \(3,\)"),
    "a number": (spaces.Discrete(3), np.int64(1), r"shape \(\)"),
    "nan": (REALS, np.array([[0, 0, 0], [0, np.nan, 0]]), "observation 1 of 2 has a nan or infinite entry"),
    "infinite": (REALS, np.array([[0, 0, 0], [0, 0, 0], [-np.inf, 0, 0]]), "observation 2 of 3 has a nan or infinite entry"),
    "above": (spaces.Discrete(3), np.array([0, 3]), "observation 1 of 2 lies outside Discrete"),
    "below": (spaces.Discrete(3, start=5), np.array([5, 6, 4]), "observation 2 of 3 lies outside Discrete"),
    "not a whole number": (spaces.Discrete(3), np.array([0, 1.5]), "observation 1 of 2 lies outside Discrete"),
    "nan index": (spaces.Discrete(3), np.array([0, np.nan]), "observation 1 of 2 lies outside Discrete"),
    "one factor": (spaces.MultiDiscrete([2, 3]), np.array([[1, 2], [2, 1]]), "observation 1 of 2 lies outside MultiDiscrete"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_observations_refused(name):
    space, observations, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        Encoder(space)(observations)


@pytest.mark.parametrize("space", [TEXT, spaces.Dict(), spaces.MultiDiscrete([[2, 3], [2, 3]])], ids=str)
def test_spaces_without_an_encoding(space):
    with pytest.raises(ValueError, match="no encoding of the observation space"):
        Encoder(space)


@pytest.mark.parametrize("space", [REALS, spaces.Discrete(3), spaces.MultiDiscrete([2, 2, 2])], ids=str)
def test_only_images_are_images(space):
    with pytest.raises(ValueError, match="a convolutional policy needs images"):
        Encoder(space, image=True)


# ------------------------------------------------------------------------------------------------- networks and policies


@pytest.mark.parametrize(("kind", "action"), POLICIES, ids=map("-".join, POLICIES))
def test_every_policy_puts_out_a_row_of_its_family(kind, action):
    policy = build(kind, action)
    inputs = observe(policy, 7)
    z = policy(inputs)
    assert z.shape == (7, policy.family.K)
    assert z.dtype == inputs.dtype == torch.float64
    assert torch.equal(z, policy(inputs))
    torch.testing.assert_close(policy(inputs[2:4]), z[2:4])  # rows do not meet
    assert policy.device == torch.device("cpu")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("action", ACTION_SPACES)
def test_a_new_policy_is_near_uniform_and_seeded(kind, action):
    space, arguments = KINDS[kind]
    make = lambda seed: make_policy(space, ACTION_SPACES[action], **{"kind": kind, **arguments}, seed=seed, init_log_std=-0.5)  # noqa: E731
    a, b, c = make(0), make(0), make(1)
    assert torch.equal(flat_parameters(a), flat_parameters(b))
    assert kind == "tabular" or not torch.equal(flat_parameters(a), flat_parameters(c))
    z = a(observe(a, 20)).detach()
    expected = torch.zeros_like(z)
    if action == "gaussian":
        expected[:, 2:] = -0.5
    torch.testing.assert_close(z, expected, rtol=0, atol=0.1)  # a last layer of gain 0.01 on inputs of length about 3


def test_weights_do_not_depend_on_the_global_generator():
    torch.manual_seed(0)
    a = make_policy(REALS, ACTION_SPACES["categorical"], seed=3)
    torch.manual_seed(1)
    assert torch.equal(flat_parameters(a), flat_parameters(make_policy(REALS, ACTION_SPACES["categorical"], seed=3)))


def test_hidden_layers_are_orthogonal_with_zero_biases():
    layers = [x for x in make_network("mlp", Encoder(REALS), 2, hidden=(8, 8), last_gain=0.5) if isinstance(x, nn.Linear)]
    torch.testing.assert_close(layers[1].weight @ layers[1].weight.T, 2 * torch.eye(8), rtol=0, atol=1e-5)
    torch.testing.assert_close(layers[2].weight @ layers[2].weight.T, 0.25 * torch.eye(2), rtol=0, atol=1e-5)
    assert not any(layer.bias.any() for layer in layers)


def test_shapes_of_networks():
    shapes = lambda policy: [tuple(p.shape) for p in policy.parameters()]  # noqa: E731
    paper = make_policy(REALS, spaces.Box(-1, 1, (2,)), hidden=(30,))
    assert shapes(paper) == [(2,), (30, 3), (30,), (2, 30), (2,)]  # log_std first
    image = make_policy(spaces.Box(0, 255, (105, 80, 4), np.uint8), spaces.Discrete(6), "conv")
    # 105 -> 51 -> 24 and 80 -> 39 -> 18
    assert shapes(image) == [(16, 4, 4, 4), (16,), (16, 16, 4, 4), (16,), (20, 16 * 24 * 18), (20,), (6, 20), (6,)]
    table = make_policy(spaces.Discrete(5), spaces.Discrete(2), "tabular")
    assert shapes(table) == [(2, 5)]
    assert isinstance(make_policy(REALS, spaces.Discrete(2), activation="relu").network[1], nn.ReLU)


def test_a_table_has_a_free_row_a_state():
    table = make_policy(spaces.Discrete(4), spaces.Discrete(3), "tabular")
    values = torch.arange(12.0).view(3, 4)
    with torch.no_grad():
        table.network[0].weight.copy_(values)
    torch.testing.assert_close(table(table.inputs(np.array([2, 0]))), values[:, [2, 0]].T)


@pytest.mark.parametrize("kind", ["tabular", "linear", "mlp"])
def test_state_dependent_deviations_start_at_their_initial_value(kind):
    space, arguments = KINDS[kind]
    policy = make_policy(space, ACTION_SPACES["gaussian"], kind, std="state", init_log_std=-1.5, **arguments)
    assert policy.log_std is None
    z = policy(observe(policy, 9))
    torch.testing.assert_close(z[:, 2:], torch.full((9, 2), -1.5), rtol=0, atol=0.1)


def test_normalised_inputs():
    policy = make_policy(spaces.Box(-9, 9, (2, 2)), spaces.Discrete(2), normalise=True)
    rows = np.random.default_rng(0).normal(3, 2, size=(50, 2, 2))
    assert torch.equal(policy.inputs(rows), torch.as_tensor(rows).float().flatten(1))  # before any update
    policy.normaliser.update(rows.reshape(50, 4))
    inputs = policy.inputs(rows)
    torch.testing.assert_close(inputs.mean(0), torch.zeros(4), rtol=0, atol=1e-5)
    torch.testing.assert_close(inputs.std(0, unbiased=False), torch.ones(4), rtol=1e-5, atol=0)
    assert len(list(policy.parameters())) == 6  # moments are no parameters


MISTAKES = {
    "kind": ({"kind": "cnn"}, "unknown kind of policy 'cnn'; expected tabular, linear, mlp or conv"),
    "activation": ({"activation": "gelu"}, "unknown activation 'gelu'; expected one of tanh, relu"),
    "std": ({"std": "fixed"}, "std is 'fixed'; expected 'free' or 'state'"),
    "tabular reals": ({"kind": "tabular"}, "a tabular policy needs a Discrete observation space"),
    "conv reals": ({"kind": "conv"}, "a convolutional policy needs images"),
    "small images": ({"kind": "conv", "space": spaces.Box(0, 255, (8, 8, 3), np.uint8)}, r"images of \(8, 8, 3\) are too small"),
    "normalised table": (
        {"kind": "tabular", "space": spaces.Discrete(3), "normalise": True},
        "only vectors of reals can be normalised",
    ),
    "normalised images": (
        {"kind": "conv", "space": spaces.Box(0, 255, (12, 12, 3), np.uint8), "normalise": True},
        "only vectors of reals",
    ),
    "no width": ({"hidden": (0,)}, r"hidden is \(0,\); expected a width of at least 1"),
    "half a unit": ({"hidden": (2.5,)}, r"hidden is \(2.5,\); expected a width"),
    "one width": ({"hidden": 5}, "hidden is 5; expected a width"),
    "deviation": ({"init_log_std": math.nan}, "init_log_std is nan; expected a finite number"),
    "half a seed": ({"seed": 1.5}, "seed is 1.5; expected an integer"),
    "negative seed": ({"seed": -1}, "seed is -1; expected an integer"),
    "text": ({"space": TEXT}, "no encoding of the observation space"),
    "actions": ({"action": TEXT}, "no policy for the action space"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(name):
    arguments, message = MISTAKES[name]
    arguments = dict(arguments)
    space, action = arguments.pop("space", REALS), arguments.pop("action", spaces.Box(-1, 1, (2,)))
    with pytest.raises(ValueError, match=message):
        make_policy(space, action, **arguments)
