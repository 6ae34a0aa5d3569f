"""Every quantity of a comparison by its definition, in exact rationals and 700 digits: what enclosures have to contain."""

import math

import flint
import mpmath
import numpy as np

from bounds import compare
from bounds.instances import STRUCTURED
from bounds.pairs import PAIRINGS
from mdps import families

DIGITS = 700
"""Enough to tell the divergence of two policies that differ by 1e-300."""

GAMMAS = (0.0, 0.01, 0.5, 0.9, 0.99, 1 - 1e-8, 1 - 1e-10)
DISTANCES = (0.0, 1e-9, 1e-6, 1e-3, 0.1, 1.0)


def exact(x):
    """The rational number that a float is."""
    return flint.fmpq(*float(x).as_integer_ratio())


def normalised(row):
    numbers = [exact(x) for x in row]
    return [x / sum(numbers) for x in numbers]


def logarithm(x):
    """The natural logarithm of a rational."""
    return mpmath.log(mpmath.mpf(int(x.p)) / mpmath.mpf(int(x.q)))


def real(x):
    return mpmath.mpf(int(x.p)) / mpmath.mpf(int(x.q)) if isinstance(x, flint.fmpq) else x


def kl(p, q):
    """By the definition; inf where new never goes."""
    if any(a > 0 and b == 0 for a, b in zip(p, q, strict=True)):
        return mpmath.inf
    return mpmath.fsum(real(a) * logarithm(a / b) for a, b in zip(p, q, strict=True) if a > 0)


def truth(c, index):
    """Every quantity of one comparison of a batch, exactly, by dense rational solves and by definition."""
    S, A = c.mdp.S, c.mdp.A
    P = [[normalised(c.mdp.P[index][s, a]) for a in range(A)] for s in range(S)]
    R = [[exact(x) for x in row] for row in c.mdp.R[index]]
    start, gamma = normalised(c.mdp.rho0[index]), exact(c.mdp.gamma[index])
    pi = {name: [normalised(row) for row in getattr(c, name).pi[index]] for name in ("old", "new")}
    inverse, out, states, actions = {}, {}, range(S), range(A)
    for name, p in pi.items():
        chain = [[sum(p[s][a] * P[s][a][t] for a in actions) for t in states] for s in states]
        system = flint.fmpq_mat([[int(s == t) - gamma * chain[s][t] for t in states] for s in states])
        inverse[name] = system.inv()
        reward = [sum(p[s][a] * R[s][a] for a in actions) for s in states]
        out[f"{name}.V"] = V = [sum(inverse[name][s, t] * reward[t] for t in states) for s in states]
        Q = [[R[s][a] + gamma * sum(P[s][a][t] * V[t] for t in states) for a in actions] for s in states]
        out[f"{name}.Q"] = Q
        out[f"{name}.A"] = [[Q[s][a] - V[s] for a in actions] for s in states]
        out[f"{name}.rho"] = rho = [sum(start[s] * inverse[name][s, t] for s in states) for t in states]
        out[f"{name}.d"] = [(1 - gamma) * x for x in rho]
        out[f"{name}.eta"] = sum(start[s] * V[s] for s in states)
        out[f"{name}.pi"] = p
    shift = [[pi["new"][s][a] - pi["old"][s][a] for a in actions] for s in states]
    gain = [sum(shift[s][a] * out["old.A"][s][a] for a in actions) for s in states]
    tv = [sum(abs(x) for x in row) / 2 for row in shift]
    out |= {"shift": shift, "gain": gain, "tv": tv, "tv_max": max(tv)}
    out["surrogate_gain"] = sum(out["old.rho"][s] * gain[s] for s in states)
    out["improvement"] = out["new.eta"] - out["old.eta"]
    out["L"] = out["old.eta"] + out["surrogate_gain"]
    out["gap"] = out["new.eta"] - out["L"]
    out["eps_A"] = max(abs(x) for row in out["old.A"] for x in row)
    out["span_A"] = max(max(row) - min(row) for row in out["old.A"])
    out["eps_g"], out["span_g"] = max(abs(x) for x in gain), max(gain) - min(gain)
    moved = [out["new.d"][s] - out["old.d"][s] for s in states]
    out["occupancy_tv"] = sum(abs(x) for x in moved) / 2
    out["occupancy_shift"] = [x / (1 - gamma) for x in moved]
    for name, d in (("tv_mean", out["old.d"]), ("tv_mean_new", out["new.d"])):
        out[name] = sum(d[s] * tv[s] for s in states)
    rows = [[inverse["new"][s, t] for t in states] for s in states]
    out["ergodicity"] = max(sum(abs(x - y) for x, y in zip(p, q, strict=True)) / 2 for p in rows for q in rows)
    lost = [-shift[s][a] / pi["old"][s][a] for s in states for a in actions if pi["old"][s][a] > 0]
    out["mixture"] = min(max(max(lost), flint.fmpq(0)), flint.fmpq(1))
    for name, p, q in (("kl", "old", "new"), ("kl_reverse", "new", "old")):
        out[name] = each = [kl(pi[p][s], pi[q][s]) for s in states]
        out[f"{name}_max"] = max(each)
        out[f"{name}_mean"] = mpmath.fsum(real(out["old.d"][s]) * each[s] for s in states if out["old.d"][s] > 0)
    return out


def inside(low, high, value):
    """Whether low <= value <= high, exactly for rationals and to :data:`DIGITS` for the rest."""
    if isinstance(value, flint.fmpq):
        return (low == -math.inf or exact(low) <= value) and (high == math.inf or value <= exact(high))
    return low <= value <= high


def misses(c, enclosed, index):
    """Names of the quantities that do not contain the truth in one instance, and the share of radii that say nothing."""
    bad, unknown = [], []
    with mpmath.workdps(DIGITS):
        for name, value in truth(c, index).items():
            x = enclosed
            for part in name.split("."):
                x = getattr(x, part)
            low, high = x[index].bounds()
            unknown.append(low == -math.inf)
            flat = np.array(value, dtype=object).ravel()
            if not all(inside(*ends) for ends in zip(low.ravel(), high.ravel(), flat, strict=True)):
                bad.append(name)
    return bad, float(np.mean(np.concatenate([np.ravel(u) for u in unknown])))


def comparison(states, actions, pairing, seed, gammas=GAMMAS, distances=DISTANCES):
    """A batch of one instance for each gamma and distance, [G, D]."""
    shape = (len(gammas), len(distances))
    gamma = np.broadcast_to(np.asarray(gammas)[:, None], shape)
    rng = np.random.default_rng([seed, states])
    mdp = families.garnet(states, actions, min(2, states), gamma=gamma, seed=rng, batch=shape)
    return compare(mdp, *PAIRINGS[pairing](mdp, np.broadcast_to(np.asarray(distances), shape), rng))


def structured(name, gamma):
    pair = STRUCTURED[name](gamma)
    mdp = pair.mdp
    return compare(mdp, pair.old, pair.new)
