"""Tables of other numbers than floats."""


class Numbers:
    """Mark of array types whose entries are exact, or carry an error radius: tables of these are taken as they are given.

    Such a type takes part in numpy's protocols (``__array_ufunc__`` and ``__array_function__``), through which it answers the
    compiled kernels too. Everything that is written for floats then says the same of its numbers: an MDP made of such tables is
    evaluated and compared by the same functions.
    """
