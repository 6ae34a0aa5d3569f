"""What TRPO is compared with: searches of the parameters by return alone, and regression on rewards."""

from trpo.baselines.cem import cross_entropy as cross_entropy
from trpo.baselines.cma import covariance_adaptation as covariance_adaptation
from trpo.baselines.generation import Generation as Generation
from trpo.baselines.returns import MeanReturn as MeanReturn
from trpo.baselines.returns import play as play
from trpo.baselines.rwr import reward_weighted_regression as reward_weighted_regression
