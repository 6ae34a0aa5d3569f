"""How a policy is improved: exactly, as a table, and as a neural agent."""

from trpo.agent import TRPO as TRPO
from trpo.batch import Batch as Batch
from trpo.exact import mixture_step as mixture_step
from trpo.exact import natural_gradient_step as natural_gradient_step
from trpo.exact import penalised_step as penalised_step
from trpo.exact import policy_iteration_step as policy_iteration_step
from trpo.exact import region_step as region_step
from trpo.exact import vanilla_gradient_step as vanilla_gradient_step
from trpo.penalty import Penalty as Penalty
from trpo.penalty import theoretical_penalty as theoretical_penalty
from trpo.policies import Policy as Policy
from trpo.policies import make_policy as make_policy
from trpo.region import Region as Region
from trpo.step import LineSearch as LineSearch
from trpo.step import Step as Step
from trpo.step import StepOptions as StepOptions
from trpo.step import step as step
from trpo.tabulate import tabulate as tabulate
