"""Audit your own agent: which promises of a trust-region update does it keep? ``python examples/my_agent.py`` says it in seconds.

``python studies/run.py study=audit agent=mine`` does the same in full, once conf/agent/mine.yaml names ``my_agent:train``.
"""

from collections.abc import Iterator

import numpy as np

from studies.adapters import Categorical, Policy, Update, World


def policy(theta: np.ndarray) -> Policy:
    """Softmax of a table of logits."""
    kept = theta.copy()  # what training does later must not change it
    return Policy(lambda states: Categorical.of_logits(kept[states]), kept.ravel())


def train(world: World, *, delta: float, updates: int, seed: int, reject: bool = False) -> Iterator[Update]:
    """REINFORCE with a softmax table: no trust region at all."""
    env, rng = world.make(), np.random.default_rng(seed)
    if reject or not hasattr(env.observation_space, "n"):
        raise NotImplementedError("it rejects nothing, and knows tables only")
    theta = np.zeros((env.observation_space.n, env.action_space.n))
    for _ in range(updates):
        before, steps, state, ended = policy(theta), [], env.reset(seed=int(rng.integers(2**31)))[0], False
        while not ended:
            action = rng.choice(theta.shape[1], p=before.law(np.array([state])).p[0])
            following, reward, terminated, truncated, _ = env.step(action)
            steps.append((state, action, reward))
            state, ended = following, terminated or truncated
        states, actions, rewards = (np.array(column) for column in zip(*steps, strict=True))
        advantages = rewards[::-1].cumsum()[::-1] - rewards.sum() / 2
        np.add.at(theta, (states, actions), 0.05 * advantages)
        yield Update(before, policy(theta), states, actions, advantages)


if __name__ == "__main__":
    from mdps.families import garnet
    from studies import audit

    table = audit.run({"mine": train}, {"garnet": garnet(6, 3, 2, gamma=0.9, seed=0)}, env=[], stress=[0.1], updates=10)
    print(audit.report(table))  # "kl" is broken: nothing keeps its steps within delta
