"""How a policy is improved."""

from trpo.exact import mixture_step as mixture_step
from trpo.exact import natural_gradient_step as natural_gradient_step
from trpo.exact import penalised_step as penalised_step
from trpo.exact import policy_iteration_step as policy_iteration_step
from trpo.exact import region_step as region_step
from trpo.exact import vanilla_gradient_step as vanilla_gradient_step
from trpo.region import Region as Region
