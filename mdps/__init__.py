"""What a Markov decision process is, and its exact solution."""

from mdps.evaluate import Evaluation as Evaluation
from mdps.evaluate import evaluate as evaluate
from mdps.mdp import MDP as MDP
from mdps.mdp import stack as stack
from mdps.mdp import uniform_policy as uniform_policy
from mdps.optimal import optimal_policy as optimal_policy
from mdps.sparse import SparseMDP as SparseMDP
from mdps.sparse_evaluate import SparseEvaluation as SparseEvaluation
from mdps.sparse_evaluate import evaluate_sparse as evaluate_sparse
from mdps.sparse_optimal import optimal_policy_sparse as optimal_policy_sparse
