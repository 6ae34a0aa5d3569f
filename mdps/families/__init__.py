"""Families of Markov decision processes, one function a family."""

from mdps.families.bandits import bandit as bandit
from mdps.families.bandits import two_armed_bandit as two_armed_bandit
from mdps.families.chains import chain_walk as chain_walk
from mdps.families.chains import deep_sea as deep_sea
from mdps.families.chains import forest as forest
from mdps.families.chains import kakade_langford_chain as kakade_langford_chain
from mdps.families.chains import riverswim as riverswim
from mdps.families.chains import two_state_plateau as two_state_plateau
from mdps.families.grid import windy_gridworld as windy_gridworld
from mdps.families.random import dirichlet as dirichlet
from mdps.families.random import garnet as garnet
from mdps.families.registry import FAMILIES as FAMILIES
from mdps.families.sparse import gridworld as gridworld
from mdps.families.sparse import mountain_car as mountain_car
from mdps.families.sparse import sparse_garnet as sparse_garnet
from mdps.families.worst_case import Pair as Pair
from mdps.families.worst_case import fam_cpi as fam_cpi
from mdps.families.worst_case import fam_cpo as fam_cpo
from mdps.families.worst_case import fam_tv as fam_tv
from mdps.families.worst_case import fam_walk as fam_walk
from mdps.families.worst_case import fork as fork
from mdps.families.worst_case import greedy_trap as greedy_trap
from mdps.families.worst_case import hidden_reward as hidden_reward
from mdps.families.worst_case import leak as leak
from mdps.families.worst_case import shared_law as shared_law
from mdps.families.worst_case import slow_leak as slow_leak
