"""Small results for tests of the report: what ``studies/run.py`` would leave, in seconds."""

from functools import cache

import pandas as pd

from mdps.families import chain_walk
from studies import outputs, trust_region, verify
from trpo.region import Region

REGIONS = {"max_kl": Region("kl", "max", 0.1), "mean_kl": Region("kl", "mean", 0.1)}
CLAIMS = ["kl-trpo", "tv-trpo", "meankl-trpoC", "G1", "G11", "G13", "pdl"]


@cache
def trust_region_table(seed):
    return trust_region.run({"chain_walk": chain_walk(gamma=0.9)}, REGIONS, seed, iterations=3, starts=1, aggregations=2)


@cache
def verify_table():
    return verify.run(instances=2, gammas=[0.5, 0.9], distances=[0.1], deltas=[0.01], mdps=["riverswim"], claims=CLAIMS, exact=0)


def store(table, folder, *overrides, **attributes):
    """Write a table as a run with these overrides would, some of its attributes changed."""
    folder.mkdir(parents=True, exist_ok=True)
    seed = next((int(o.removeprefix("seed=")) for o in overrides if o.startswith("seed=")), 0)
    made = outputs.provenance({"seed": seed}, str(table["study"].iloc[0]), overrides)
    stored = table.copy()
    stored.attrs = {**made, **attributes}
    outputs.write_table(stored, folder / outputs.TABLE)
    return folder


def sound(root):
    """Two runs of one study and one of another; their folders."""
    first = store(trust_region_table(0), root / "trust_region" / "default")
    second = store(trust_region_table(1), root / "trust_region" / "seed=1", "seed=1")
    return [first, second, store(verify_table(), root / "verify" / "default", "study=verify")]


def read(folder):
    """The table of a folder, as it is."""
    return pd.read_parquet(folder / outputs.TABLE)
