"""Small agents with one defect each, and without any, for the tests of the audit. None needs torch."""

from dataclasses import dataclass

import numpy as np

from mdps import evaluate
from studies.adapters import Categorical, Gaussian, Policy, Update

DEFECTS = {
    "raises": ("finite", "broken"),
    "no KL check": ("kl", "broken"),
    "1.5 delta": ("kl", "broken"),
    "reversed KL": ("direction", "KL(new||old)"),
    "left applied": ("restore", "broken"),
    "no surrogate check": ("surrogate", "broken"),
    "gamma^t dropped": ("discount", "broken"),
    "log-std left out": ("log_std", "broken"),
    "normaliser": ("drift", "broken"),
    "trained in between": ("drift", "broken"),
}
"""What the audit has to say of each."""
INFORMED = {"noise for advantages": "surrogate_exact", "wrong sign": "eta"}
"""What they lower, of what nobody can promise to raise: there is no verdict, but the numbers show it."""
NORMAL = ("log-std left out", "normaliser")
"""Those of the normal agent; the others are the tabular one's."""


@dataclass(frozen=True)
class Tabular:
    """A softmax table, the natural gradient, and a line search: exact advantages where the observation is the state."""

    defect: str = ""
    samples: int = 200
    says: bool = True

    def __call__(self, world, *, delta, updates, seed, reject=False):
        env, rng = world.make(), np.random.default_rng(seed)
        if not hasattr(env.observation_space, "n"):
            raise NotImplementedError("tables need finitely many observations")
        theta = 3 * rng.normal(
            size=(int(env.observation_space.n), int(env.action_space.n))
        )  # confident, and wrong: it has to spread first
        env.reset(seed=seed)
        for k in range(updates):
            if self.defect == "raises" and k == 3:
                raise FloatingPointError("a number was not finite")
            before = table(theta)
            s, a, t, rewards = walk(env, before, rng, self.samples)
            weights = world.gamma**t if self.defect != "gamma^t dropped" else np.ones(len(t))
            if len(theta) == world.mdp.S:
                A = evaluate(world.mdp, world.table(before)).A
                advantages = A[s, a]
            else:
                advantages = rewards - np.average(rewards, weights=weights)
                A = sums(theta.shape, s, a, advantages * weights) / np.maximum(sums(theta.shape, s, a, weights), 1e-9)
            if self.defect == "noise for advantages":
                A = rng.normal(size=A.shape)
                advantages = A[s, a]
            direction = {"wrong sign": -A, "no surrogate check": rng.normal(size=A.shape)}.get(self.defect, A)
            accepted, new = self.search(theta, direction, s, a, weights, advantages, delta, reject)
            after = table(new)
            yield Update(before, after, s, a, advantages, accepted if self.says else None, weights=weights)
            theta = new + (0.01 * rng.normal(size=new.shape) if self.defect == "trained in between" else 0)

    def search(self, theta, direction, s, a, weights, advantages, delta, reject):
        old = table(theta).law(s)
        length = 4 * np.sqrt(2 * delta) / (np.abs(direction).max() + 1e-12)
        for _ in range(300):
            candidate = theta + length * direction
            new = table(candidate).law(s)
            gain = np.average(np.expm1(new.log_prob(a) - old.log_prob(a)) * advantages, weights=weights)
            kl = np.average(new.kl(old) if self.defect == "reversed KL" else old.kl(new), weights=weights)
            limit = {"no KL check": np.inf, "1.5 delta": 1.5 * delta}.get(self.defect, delta)
            better = gain > 0 or self.defect in ("no surrogate check", "wrong sign")
            if kl <= limit and better and not reject:
                return True, candidate
            length *= 0.98
        return False, candidate if self.defect == "left applied" else theta


@dataclass(frozen=True)
class Normal:
    """A linear mean and a free log-std, the plain gradient, and a line search on the mean KL."""

    defect: str = ""
    samples: int = 200

    def __call__(self, world, *, delta, updates, seed, reject=False):
        env, rng = world.make(), np.random.default_rng(seed)
        if hasattr(env.action_space, "n"):
            raise NotImplementedError("a normal law needs real actions")
        d, k = env.observation_space.shape[0], env.action_space.shape[0]
        theta = np.zeros((d + 1, k))
        offset, seen = np.zeros(d), 0
        observation = env.reset(seed=seed)[0]
        for _ in range(updates):
            start = offset.copy()
            before = linear(theta, start)
            raw, actions, rewards = [], [], []
            for _ in range(self.samples):
                law = before.at(observation[None])
                action = law.mean[0] + np.exp(law.log_std[0]) * rng.normal(size=k)
                raw.append(observation)
                actions.append(action)
                observation, reward, terminated, truncated, _ = env.step(action.astype(np.float32))
                rewards.append(float(reward))
                if terminated or truncated:
                    observation = env.reset()[0]
            x, a, A = before.features(np.array(raw)), np.array(actions), np.array(rewards)
            A = (A - A.mean()) / A.std()
            old = before.law(x)
            z = (a - old.mean) * np.exp(-old.log_std)
            gradient = np.vstack([x.T @ (A[:, None] * z * np.exp(-old.log_std)), (A[:, None] * (z**2 - 1)).sum(0)]) / len(x)
            if self.defect == "log-std left out":
                gradient[-1] = 0
            new, length = theta, 1.0
            for _ in range(200):
                candidate = linear(theta + length * gradient, start)
                law = candidate.law(x)
                if old.kl(law).mean() <= delta and np.mean(np.expm1(law.log_prob(a) - old.log_prob(a)) * A) > 0:
                    new = theta + length * gradient
                    break
                length *= 0.9
            if self.defect == "normaliser":
                offset = (seen * offset + np.sum(raw, axis=0)) / (seen + len(raw))
                seen += len(raw)
            yield Update(before, linear(new, offset), x, a, A, bool((new != theta).any()), np.array(raw))
            theta = new


def table(theta):
    """A softmax table as a policy."""
    own = theta.copy()
    return Policy(lambda s: Categorical.of_logits(own[np.asarray(s, dtype=int)]), own.ravel())


def linear(theta, offset):
    """A linear normal policy, theta [d + 1, k] with the log-std in its last row, behind a running mean."""
    own, shift = theta.copy(), offset.copy()
    return Policy(lambda x: Gaussian(x @ own[:-1], np.tile(own[-1], (len(x), 1))), own.ravel(), lambda raw: raw - shift)


def walk(env, policy, rng, samples):
    """Whole episodes, at least so many samples: observations, actions, times and rewards."""
    rows = []
    p = policy.law(np.arange(int(env.observation_space.n))).p
    while len(rows) < samples:
        s, t, ended = env.reset()[0], 0, False
        while not ended:
            a = int(rng.choice(p.shape[1], p=p[s]))
            following, reward, terminated, truncated, _ = env.step(np.int64(a))
            rows.append((int(s), a, t, float(reward)))
            s, t, ended = following, t + 1, terminated or truncated
    s, a, t, rewards = (np.array(column) for column in zip(*rows, strict=True))
    return s, a, t, rewards


def sums(shape, s, a, values):
    """Sum of values by observation and action."""
    total = np.zeros(shape)
    np.add.at(total, (s, a), values)
    return total
