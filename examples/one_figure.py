"""Reproduce one figure, small: ``python examples/one_figure.py`` draws what max-KL and mean-KL trust regions do.

A study is two functions: ``run`` makes a table, ``figures`` draws it and sees nothing else. The README's figure is that of
``python studies/run.py``, the same two functions with other processes and a neural agent.
"""

from pathlib import Path

from mdps.families import garnet
from studies import trust_region
from studies.figures import save
from trpo import Region

# Name processes and regions as you like. A Region bounds the max over states of KL(old || new), or its mean under d.
processes = {f"random process {k}": garnet(6, 3, 2, gamma=0.9, seed=k) for k in range(8)}
regions = {"max_kl": Region("kl", "max", delta=0.05), "mean_kl": Region("kl", "mean", delta=0.05)}

# Exact updates from the same random policies: each state for itself ("exact"), and states tied at random ("exact-tied").
table = trust_region.run(processes, regions, seed=0, iterations=15, starts=2, aggregations=2)

# One row an update and claim; the summary counts in how many updates the true return fell.
print(trust_region.summary(table)[["algorithm", "region", "updates", "falls", "kl_max/delta", "progress"]].to_string(index=False))

# As PDF and PNG, in a paper's column width.
for path in save(trust_region.figures(table)["progress"], Path("one_figure")):
    print(f"figure {path}")
