"""What is claimed, and whether it is true."""

from bounds import controls as controls
from bounds import guarantees as guarantees
from bounds import identities as identities
from bounds import literature as literature
from bounds import mixture as mixture
from bounds import occupancy as occupancy
from bounds import pinsker as pinsker
from bounds import sharper as sharper
from bounds import trpo_paper as trpo_paper
from bounds.catalogue import CATALOGUE as CATALOGUE
from bounds.catalogue import Claim as Claim
from bounds.catalogue import bound as bound
from bounds.catalogue import guarantee as guarantee
from bounds.catalogue import identity as identity
from bounds.catalogue import lemma as lemma
from bounds.certify import certify as certify
from bounds.certify import certify_all as certify_all
from bounds.certify import certify_batch as certify_batch
from bounds.checking import Check as Check
from bounds.checking import check as check
from bounds.compare import compare as compare
from bounds.comparison import Comparison as Comparison
from bounds.verdicts import Outcome as Outcome
from bounds.verdicts import Verdict as Verdict
from bounds.verdicts import Verdicts as Verdicts
