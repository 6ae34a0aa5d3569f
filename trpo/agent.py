"""The agent: collect, step, fit values, report; again."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from numbers import Real
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from trpo import checkpoint
from trpo.arguments import available, check, fitting, integer
from trpo.environments import EnvLike, vector_env
from trpo.history import LAST, Iteration
from trpo.linearise import flat_parameters
from trpo.neural import StepOptions, step
from trpo.penalty import Penalty
from trpo.policies import Kind, Policy, make_network, make_policy
from trpo.region import Region
from trpo.samplers.by_name import SAMPLING, make_sampler
from trpo.samplers.exact import Exact
from trpo.samplers.paths import as_env_actions
from trpo.samplers.sample import Sample, Sampler
from trpo.samplers.single_path import Estimator, SinglePath
from trpo.tensorboard import event_writer, write_numbers
from trpo.threads import threads as threads_of_torch
from trpo.values import ValueFunction, fit_values


@dataclass(frozen=True, eq=False)
class Update:
    """What a callback is shown after each update."""

    agent: TRPO
    sample: Sample
    before: Tensor  # [P] parameters of the policy that collected the sample
    iteration: Iteration


Callback = Callable[[Update], object]


@dataclass
class _Progress:
    """What changes as the agent learns, besides its networks and its sampler."""

    iterations: list[Iteration] = field(default_factory=list)
    recent: list[float] = field(default_factory=list)
    steps: int = 0
    episodes: int = 0


class TRPO:
    """Trust region policy optimisation and its relatives, on any gymnasium environment.

    Parameters
    ----------
    env
        Environment id, MDP, environment or vector environment; see :func:`trpo.environments.vector_env`.
    policy
        Kind of network (``"tabular"``, ``"linear"``, ``"mlp"``, ``"conv"``), or a :class:`~trpo.policies.Policy` between the
        spaces of the environment, which brings its own normaliser or none.
    region
        Trust region or penalty; see :func:`trpo.neural.step`.
    sampler
        ``"single_path"``, ``"exact"`` (on an MDP), or a sampler, such as :class:`trpo.samplers.vine.Vine`. With any but the
        first, arguments that would speak to it are refused: ``gamma`` to ``episodes_per_update``, and ``normalise_rewards``.
    gamma
        Discount factor; None for that of the MDP, where the environment is one, and else 0.99.
    lam, estimator, discounted, standardise
        GAE's lambda (0.95), ``"gae"`` or ``"monte_carlo"``, gamma^t weights (no), and whether a batch's advantages are shifted
        and scaled to mean 0 and deviation 1; see :class:`~trpo.samplers.single_path.SinglePath`. None standardises for a region,
        and not for a penalty: its coefficient is in units of the return.
    steps_per_update, episodes_per_update
        Size of a batch in environment steps (2048), or in whole episodes.
    num_envs
        Copies of the environment, where they can be made.
    hidden, activation, std, init_log_std
        See :func:`trpo.policies.make_policy`; the value network has the same hidden layers.
    options
        How a step is computed and accepted.
    value_iterations, value_damping
        Gauss-Newton steps of the values a batch, and how cautious they are (:func:`trpo.values.fit_values`); 0 steps learn no
        values.
    normalise_observations, normalise_rewards
        By running moments, which change between updates only. (With a penalty, rewards so divided are its unit.)
    seed
        For weights, environments, actions and subsamples.
    device
        Where networks live, ``"cpu"`` or ``"cuda"``.
    threads
        Of torch while learning. More may be faster on large batches, and may change the last bits of a sum.

    Raises
    ------
    ValueError
        If a space has no policy or another than that given, a name is unknown, a number out of range, an argument would not be
        used, or an exact sampler is of another MDP than the environment.
    TypeError
        If ``region`` is neither a region nor a penalty.
    """

    def __init__(
        self,
        env: EnvLike,
        *,
        policy: Kind | Policy = "mlp",
        region: Region | Penalty | None = None,
        sampler: Literal["single_path", "exact"] | Sampler = "single_path",
        gamma: float | None = None,
        lam: float | None = None,
        estimator: Estimator | None = None,
        discounted: bool | None = None,
        standardise: bool | None = None,
        steps_per_update: int | None = None,
        episodes_per_update: int | None = None,
        num_envs: int = 8,
        hidden: Sequence[int] = (64, 64),
        activation: str = "tanh",
        std: Literal["free", "state"] = "free",
        init_log_std: float = 0.0,
        options: StepOptions | None = None,
        value_iterations: int = 2,
        value_damping: float = 1.0,
        normalise_observations: bool = False,
        normalise_rewards: bool | None = None,
        seed: int = 0,
        device: str = "cpu",
        threads: int = 1,
    ) -> None:
        self._arguments = {name: value for name, value in locals().items() if name not in ("self", "env")}
        check(self._arguments)
        self.env = vector_env(env, num_envs)
        self.region: Region | Penalty = region if region is not None else Region("kl", "mean", 0.01)
        self.options = options or StepOptions()
        self.seed, self.threads = seed, threads
        self.value_iterations, self.value_damping = value_iterations, value_damping
        observations, actions = self.env.single_observation_space, self.env.single_action_space
        place = available(device)
        if isinstance(policy, Policy):
            self.policy = fitting(policy, observations, actions).to(place)
        else:
            self.policy = make_policy(
                observations,
                actions,
                policy,
                hidden=hidden,
                activation=activation,
                std=std,
                init_log_std=init_log_std,
                normalise=normalise_observations,
                seed=seed,
            ).to(place)
        sampling = {name: self._arguments[name] for name in SAMPLING}
        self.sampler = make_sampler(sampler, env, self.env, self.region, seed, **sampling)
        self.value: ValueFunction | None = None
        if value_iterations > 0 and isinstance(self.sampler, SinglePath):
            kind = policy if isinstance(policy, str) else "conv" if self.policy.encode.image else "mlp"
            network = make_network(
                kind, self.policy.encode, 1, hidden=hidden, activation=activation, last_gain=1.0, seed=seed + 1
            )
            self.value = ValueFunction(network).to(place)
        self.generator = torch.Generator().manual_seed(seed)
        self._rng = np.random.default_rng([seed, 1])
        self._progress = _Progress()

    @property
    def history(self) -> list[Iteration]:
        """All iterations so far."""
        return self._progress.iterations

    @property
    def steps(self) -> int:
        """Environment steps taken so far."""
        return self._progress.steps

    def _done(self, what: str) -> int:
        """How far the agent has come, in the unit of an argument of ``learn``."""
        progress = self._progress
        return {"total_steps": progress.steps, "updates": len(progress.iterations), "episodes": progress.episodes}[what]

    def update(self) -> Update:
        """Collect one batch, step, fit values, and let the normaliser learn; return what happened.

        The policy that the batch was collected with, the old one of the step, saw its inputs through the same normaliser as the
        new one. Values are fitted after the step: the advantages of a batch never come from values that have seen it.
        """
        progress = self._progress
        sample = self.sampler.collect(self.policy, self.value)
        before = flat_parameters(self.policy)
        taken = step(self.policy, sample.batch, self.region, self.options, generator=self.generator)
        coefficient = self.region.coefficient if isinstance(self.region, Penalty) else math.nan
        if isinstance(self.region, Penalty) and taken.accepted:  # a rejected step says nothing of the coefficient
            self.region = self.region.adapted(taken.kl_max if self.region.reduce == "max" else taken.kl_mean)
        fit = None
        if self.value is not None and sample.targets is not None:
            fit = fit_values(
                self.value,
                sample.batch.inputs,
                sample.targets,
                iterations=self.value_iterations,
                damping=self.value_damping,
                fraction=self.options.fraction,
                generator=self.generator,
            )
        if self.policy.normaliser is not None:
            self.policy.normaliser.update(self.policy.encode(sample.observations).numpy())
        progress.steps += sample.steps
        progress.episodes += len(sample.returns)
        progress.recent = [*progress.recent, *(float(r) for r in sample.returns)][-LAST:]
        iteration = Iteration(
            len(progress.iterations),
            progress.steps,
            progress.episodes,
            float(sample.returns.mean()) if len(sample.returns) else math.nan,
            float(np.mean(progress.recent)) if progress.recent else math.nan,
            float(sample.lengths.mean()) if len(sample.lengths) else math.nan,
            taken,
            fit,
            coefficient,
        )
        progress.iterations.append(iteration)
        return Update(self, sample, before, iteration)

    def learn(
        self,
        total_steps: int | None = None,
        *,
        updates: int | None = None,
        episodes: int | None = None,
        callback: Callback | None = None,
        progress: bool = False,
        tensorboard: str | Path | None = None,
        checkpoint: str | Path | None = None,
        checkpoint_every: int = 10,
    ) -> TRPO:
        """Update until the agent has taken so many environment steps, done so many updates or ended so many episodes.

        All are counted from its birth: an agent that was loaded from a checkpoint and told the same numbers ends where it would
        have ended.

        Parameters
        ----------
        total_steps, updates, episodes
            When to end: at the first of those given; at least one.
        callback
            Called after every update with an :class:`Update`; ends the run where it returns False.
        progress
            Show a bar.
        tensorboard
            Folder for TensorBoard's event files, by environment steps; by updates where the sampler takes none.
        checkpoint, checkpoint_every
            Where to save the agent, every so many updates and at the end.

        Raises
        ------
        ValueError
            If no end is given or one is no number or negative, the sampler takes no steps and ``updates`` is not given, or
            ``checkpoint_every`` is below 1.
        TypeError
            If ``callback`` is no function.
        IsADirectoryError
            If ``checkpoint`` is a folder.
        """
        ends = {"total_steps": total_steps, "updates": updates, "episodes": episodes}
        given = {name: end for name, end in ends.items() if end is not None}
        if not given or not all(isinstance(end, Real) and end >= 0 for end in given.values()):
            raise ValueError(f"learn() got {given or 'no end'}; expected total_steps, updates or episodes, none below 0")
        if updates is None and isinstance(self.sampler, Exact):
            raise ValueError("an exact sampler takes no environment steps; give updates, the number of updates")
        integer("checkpoint_every", checkpoint_every, 1)
        if callback is not None and not callable(callback):
            raise TypeError(f"callback is {callback!r}; expected a function of an iteration, or None")
        if checkpoint is not None and Path(checkpoint).is_dir():
            raise IsADirectoryError(f"checkpoint {str(checkpoint)!r} is a folder; expected the name of a file")
        main = next(iter(given))
        bar = tqdm(total=given[main], initial=self._done(main), unit=main.removeprefix("total_")[:-1], disable=not progress)
        with threads_of_torch(self.threads), event_writer(tensorboard) as writer, bar:
            while all(self._done(name) < end for name, end in given.items()):
                update = self.update()
                record = update.iteration
                bar.update(self._done(main) - bar.n)
                bar.set_postfix({"return": f"{record.return_last:.4g}", "kl": f"{record.step.kl_mean:.3g}"}, refresh=False)
                if writer is not None:
                    write_numbers(writer, record, record.iteration if isinstance(self.sampler, Exact) else record.steps)
                going = callback(update) is not False if callback is not None else True
                if checkpoint is not None and (len(self.history) % checkpoint_every == 0 or not going):
                    self.save(checkpoint)
                if not going:
                    break
        if checkpoint is not None:
            self.save(checkpoint)
        return self

    def predict(self, observations: Any, deterministic: bool = False) -> NDArray[Any]:
        """Return an action for one observation, or actions [N,...] for observations [N,...], as the environment takes them.

        Parameters
        ----------
        observations
            Raw, of the environment's space.
        deterministic
            The likeliest action in place of a random one. Drawing changes no random state of the training.

        Raises
        ------
        ValueError
            If an observation has the wrong shape or a nan or infinite entry.
        """
        given = np.asarray(observations)
        single = given.shape == (self.env.single_observation_space.shape or ())
        with torch.no_grad():
            z = self.policy(self.policy.inputs(given[None] if single else given))
            family = self.policy.family
            drawn = family.mode(z) if deterministic else family.sample(z, family.noise(len(z), self._rng))
        actions = as_env_actions(self.env.single_action_space, drawn)
        return actions[0] if single else actions

    def save(self, path: str | Path) -> None:
        """Write everything needed to predict and to continue: networks, normalisers, environments, random states, history.

        Environments whose state cannot be read are left out with a warning; a run that is loaded then begins new episodes.
        """
        arguments = {**self._arguments, "policy": self.policy, "normalise_observations": False}  # the policy has its normaliser
        if not isinstance(arguments["sampler"], str):
            arguments["sampler"] = None
        checkpoint.write(
            path,
            {
                "arguments": arguments,
                "action_space": self.env.single_action_space,
                "value": self.value,
                "region": self.region,
                "sampler": self.sampler.state(),
                "sampler_kind": type(self.sampler).__name__,
                "generator": self.generator.get_state(),
                "rng": self._rng.bit_generator.state,
                "progress": self._progress,
            },
        )

    @classmethod
    def load(cls, path: str | Path, env: EnvLike, *, sampler: Sampler | None = None, device: str | None = None) -> TRPO:
        """Return the agent of a checkpoint, which continues as if it had never stopped.

        Parameters
        ----------
        path
            File of ``save``: a pickle; load only files you trust.
        env
            As for the constructor, of the same kind as the agent learned in.
        sampler
            One like the agent's, if it was given a sampler of its own, or in place of the one it was told by name.
        device
            Another device than it was on.

        Raises
        ------
        ValueError
            If there is no such file, it is no checkpoint, the spaces of ``env`` differ, or the sampler is missing or of another
            kind.
        """
        content = checkpoint.read(path, device or "cpu")
        arguments = dict(content["arguments"])
        if sampler is not None:
            arguments |= {**dict.fromkeys(SAMPLING), "sampler": sampler}
        if arguments["sampler"] is None:
            raise ValueError(f"the agent of {path} had a sampler of its own; give load() one like it: sampler=...")
        if device is not None:
            arguments["device"] = device
        copies = vector_env(env, arguments["num_envs"])
        spaces = {"observation": arguments["policy"].encode.space, "action": content["action_space"]}
        for name, expected in spaces.items():
            given = getattr(copies, f"single_{name}_space")
            if given != expected:
                raise ValueError(f"the agent of {path} has the {name} space {expected}; that of env is {given}")
        agent = cls(copies, **arguments)
        if type(agent.sampler).__name__ != content["sampler_kind"]:
            raise ValueError(
                f"the agent of {path} had the sampler {content['sampler_kind']}, and load() was given "
                f"{type(agent.sampler).__name__}; give one like the agent's"
            )
        if agent.value is not None:
            agent.value = content["value"].to(agent.policy.device)
        agent.region, agent._progress = content["region"], content["progress"]
        agent.generator.set_state(content["generator"].cpu())
        agent._rng.bit_generator.state = content["rng"]
        agent.sampler.restore(content["sampler"])
        return agent
