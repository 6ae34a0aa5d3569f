"""Every empirical sentence of the TRPO paper and of the note that a study here can decide, with the rule that decides it."""

from studies.sentences.learning import FIGURE4 as FIGURE4
from studies.sentences.learning import PRINTED as PRINTED
from studies.sentences.penalties import STEPS as STEPS
from studies.sentences.sampling import SAMPLING as SAMPLING
from studies.sentences.sentence import Range as Range
from studies.sentences.sentence import Sentence as Sentence
from studies.sentences.updates import UPDATES as UPDATES
