"""A second route to every exact number: 80-digit arithmetic and dense solves. It shares no code with the packages.

A float table is read as its exact row-normalisation, as the packages promise to.
"""

from types import SimpleNamespace

import mpmath as mp

DIGITS = 80


def normalised(row):
    row = [mp.mpf(float(x)) for x in row]
    return [x / mp.fsum(row) for x in row]


def evaluate(mdp, pi):
    """V, rho, A and the pieces they are made of, as lists of mpf."""
    S, A = mdp.S, mdp.A
    P = [[normalised(mdp.P[s, a]) for a in range(A)] for s in range(S)]
    law = [normalised(row) for row in pi]
    R = [[mp.mpf(float(x)) for x in row] for row in mdp.R]
    gamma, start = mp.mpf(float(mdp.gamma)), normalised(mdp.rho0)
    system = mp.matrix(S, S)
    for s in range(S):
        for t in range(S):
            system[s, t] = (s == t) - gamma * mp.fsum(law[s][a] * P[s][a][t] for a in range(A))
    reward = mp.matrix([mp.fsum(law[s][a] * R[s][a] for a in range(A)) for s in range(S)])
    V = mp.lu_solve(system, reward)
    rho = mp.lu_solve(system.T, mp.matrix(start))
    advantage = [[R[s][a] + gamma * mp.fsum(P[s][a][t] * V[t] for t in range(S)) - V[s] for a in range(A)] for s in range(S)]
    eta = mp.fsum(start[s] * V[s] for s in range(S))
    return SimpleNamespace(S=S, n=A, gamma=gamma, pi=law, V=list(V), rho=list(rho), A=advantage, eta=eta)


def compare(mdp, old, new):
    """What claims are made of, by their definitions."""
    o, n = evaluate(mdp, old), evaluate(mdp, new)
    states, actions = range(o.S), range(o.n)

    def kl(p, q):
        return mp.fsum(a * mp.log(a / b) if b else mp.inf for a, b in zip(p, q, strict=True) if a)

    tv = [mp.fsum(abs(n.pi[s][a] - o.pi[s][a]) for a in actions) / 2 for s in states]
    forward = [kl(o.pi[s], n.pi[s]) for s in states]
    reverse = [kl(n.pi[s], o.pi[s]) for s in states]
    g = [mp.fsum(n.pi[s][a] * o.A[s][a] for a in actions) for s in states]
    h = 1 - o.gamma
    surrogate = mp.fsum(o.rho[s] * g[s] for s in states)
    shares = [1 - n.pi[s][a] / o.pi[s][a] for s in states for a in actions if o.pi[s][a]]

    def mean(x):
        return mp.fsum(h * o.rho[s] * x[s] for s in states if o.rho[s])

    return SimpleNamespace(
        eta=o.eta,
        gain=g,
        tv_max=max(tv),
        tv_mean=mean(tv),
        kl_max=max(forward),
        kl_mean=mean(forward),
        kl_reverse_max=max(reverse),
        kl_reverse_mean=mean(reverse),
        mixture=max(shares),
        eps_A=max(abs(x) for row in o.A for x in row),
        eps_g=max(abs(x) for x in g),
        span_g=max(g) - min(g),
        surrogate_gain=surrogate,
        improvement=n.eta - o.eta,
        gap=n.eta - o.eta - surrogate,
        occupancy_tv=h * mp.fsum(abs(n.rho[s] - o.rho[s]) for s in states) / 2,
        gamma=o.gamma,
        h=h,
    )
