"""Agents, ours and others', in the one form that the audit reads."""

from studies.adapters.laws import Categorical as Categorical
from studies.adapters.laws import Gaussian as Gaussian
from studies.adapters.laws import Law as Law
from studies.adapters.protocol import Agent as Agent
from studies.adapters.protocol import Policy as Policy
from studies.adapters.protocol import Update as Update
from studies.adapters.protocol import World as World
from studies.adapters.registry import AGENTS as AGENTS
from studies.adapters.registry import agent as agent
