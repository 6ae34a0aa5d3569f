"""Change one constant, sign, operator or comparison of one claim at a time: some check has to turn red.

Run it by hand: ``python tests/bounds/mutate.py [claim ...]``. It prints every change that no check notices; the exit
code is 1 if there is one that ``EQUIVALENT`` does not explain.
"""

import ast
import copy
import dataclasses
import inspect
import sys
import textwrap
import warnings

import checks
import numpy as np
from test_scales import SCALES, scale_by_hand
from test_sqrt_horizon import sum_is_the_polylogarithm
from tqdm import tqdm

import bounds
from bounds import CATALOGUE
from bounds.tables import largest

EQUIVALENT = {
    # (claim or helper, what was changed): why nothing can notice
    ("tabular-monotone-any-delta", "line 10"): "any radius will do",
    ("tabular-monotone-any-delta", "line 11"): "any radius will do",
    ("vine-enumerated", "line 6"): "any q will do: it cancels",
    ("npg-rate", "line 9"): "a guard against 0/0",
    ("npg-rate", "line 10"): "a product with one",
    ("npg-rate", "line 11: maximum"): "any beta will do",
    ("fisher-hessian", "line 12"): "a linear term has no second derivative",
    ("geppo", "line 12"): "a size of rounding",
    ("cpi-alpha-star", "line 9"): "a grid",
    ("single-path", "line 16"): "a size of rounding",
    ("npg-is-advantage", "line 9"): "any c(s) will do",
    ("tabular-monotone-any-delta", "line 9"): "a guard against 0/0",
    ("tabular-monotone-any-delta", "line 14"): "any radius will do",
    ("tabular-monotone-any-delta", "line 15"): "the size of what is at least 0",
    ("trpo-eq16", "line 10"): "where the premise does not hold",
    ("G18", "line 9: 0"): "a guard against 0/0",
    ("G18", "line 9: 1.0"): "a guard against 0/0",
    ("note-24", "line 9"): "a stand-in for infinity",
    ("soft-step-identity", "line 8"): "a guard against 0/0",
    ("occ-kl-chain", "line 10"): "a sum of one up to rounding",
    ("occ-kl-chain", "line 12"): "a size of rounding",
    ("best_alpha", "line 9: 0.5"): "a guard: the share is at most 1/2",
    ("sqrt_horizon", "20"): "a sum that has converged",
    ("_moved", "line 4: Sub"): "a size of rounding",
    ("_norm", "line 4: 1.0"): "a guard against 0/0",
    ("unconstrained=PI", "line 9"): "a guard against rounding",
    ("target", "line 4"): "where new = old every gain is 0",
    ("_parameter_step", "line 6: 1.0"): "the logarithm of what is left out",
    ("_parameter_step", "line 7: 0.5"): "where to change from one formula to the other",
    ("_irreducible", "line 4: 1e-12"): "a floor of the premise",
    ("_undiscounted", "line 6"): "a stand-in where the premise does not hold",
}

HELPERS = (
    bounds.mixture.target,
    bounds.mixture.best_alpha,
    bounds.mixture.guaranteed_gain,
    bounds.mixture.mixed_improvement,
    bounds.steps.gain,
    bounds.steps.visits,
    bounds.steps.step,
    bounds.trpo_paper.coefficient,
    bounds.guarantees._interior,
    bounds.guarantees._covered,
    bounds.guarantees._minoriser_rises,
    bounds.guarantees._parameter_step,
    bounds.guarantees._policy_gradient,
    bounds.guarantees._limit,
    bounds.guarantees.importance,
    bounds.occupancy._irreducible,
    bounds.occupancy._undiscounted,
    bounds.occupancy._stationary,
    bounds.occupancy._average,
    bounds.occupancy._moved,
    bounds.mixture._mixed_scale,
    bounds.guarantees.return_scale,
    bounds.guarantees._width,
    bounds.guarantees._norm,
    bounds.guarantees._largest_Q,
    bounds.guarantees._q_scale,
    bounds.series.exponential,
    bounds.series.line,
)
"""Functions that several claims share."""

SWAPS = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.LtE: ast.Gt,
    ast.GtE: ast.Lt,
    ast.Lt: ast.GtE,
    ast.Gt: ast.LtE,
}
NAMES = {
    "largest": "smallest",
    "max": "min",
    "min": "max",
    "maximum": "minimum",
    "minimum": "maximum",
    "argmin": "argmax",
    "argmax": "argmin",
}


class Mutation(ast.NodeTransformer):
    """Change the n-th place that can be changed; ``what`` then says how."""

    def __init__(self, n):
        self.n, self.what = n, None

    def _here(self):
        self.n -= 1
        return self.n == -1

    def _say(self, node, change):
        self.what = f"line {node.lineno}: {change}"

    def visit_Subscript(self, node):
        node.value = self.visit(node.value)  # an index is layout, not mathematics
        return node

    def visit_keyword(self, node):
        return node if node.arg in ("axis", "keepdims", "where", "out") else self.generic_visit(node)

    def visit_Call(self, node):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        reduction = name in (
            "sum",
            "mean",
            "max",
            "min",
            "all",
            "any",
            "reshape",
            "eye",
            "ptp",
            "argmax",
            "argmin",
            "range",
            "where",
        )
        layout = name in (
            "_stack",
            "stack",
            "concatenate",
            "broadcast_to",
            "zeros",
            "zeros_like",
            "ones",
            "ones_like",
            "moveaxis",
        )
        node.func = self.visit(node.func)
        if name == "where" or not (reduction or layout):
            node.args = [self.visit(a) for a in node.args]
        elif name in ("_stack", "stack", "concatenate") and node.args:
            node.args = [self.visit(a) if isinstance(a, ast.Starred | ast.List | ast.BinOp) else a for a in node.args]
        if name in NAMES and self._here():
            node.func = (
                ast.Attribute(node.func.value, NAMES[name], ast.Load())
                if isinstance(node.func, ast.Attribute)
                else ast.Name(NAMES[name], ast.Load())
            )
            self._say(node, f"{name} -> {NAMES[name]}")
        node.keywords = [self.visit(k) for k in node.keywords]
        return node

    def visit_Constant(self, node):
        if isinstance(node.value, int | float) and not isinstance(node.value, bool) and self._here():
            changed = node.value * 1.5 if node.value else 1
            self._say(node, f"{node.value} -> {changed}")
            return ast.copy_location(ast.Constant(changed), node)
        return node

    def visit_BinOp(self, node):
        swap = SWAPS.get(type(node.op))
        if swap and self._here():
            self._say(node, f"{type(node.op).__name__} -> {swap.__name__} in {ast.unparse(node)}")
            node.op = swap()
            return node
        return self.generic_visit(node)

    def visit_Compare(self, node):
        swap = SWAPS.get(type(node.ops[0]))
        if swap and self._here():
            self._say(node, f"{type(node.ops[0]).__name__} -> {swap.__name__} in {ast.unparse(node)}")
            node.ops = [swap()]
            return node
        return self.generic_visit(node)

    def visit_UnaryOp(self, node):
        if isinstance(node.op, ast.USub) and not isinstance(node.operand, ast.Constant) and self._here():
            self._say(node, f"sign of {ast.unparse(node)}")
            return node.operand
        return self.generic_visit(node)


FAILURES = (AssertionError, ValueError, TypeError, RuntimeWarning, ArithmeticError, IndexError, AttributeError)
"""How a check turns red."""


def smallest(x, axes=1):
    """What ``largest`` is changed to."""
    return -largest(-x, axes)


def forget():
    """Drop what helpers have found on the comparisons of the bank."""
    for cell in checks.bank():
        cell.comparison.shared.clear()


def mutants(statement):
    """Yield (what was changed, the changed function) for every place in a function's body."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(statement)))
    function = tree.body[0]
    function.decorator_list = []
    for n in range(1000):
        mutated = copy.deepcopy(function)
        transform = Mutation(n)
        mutated.body = [transform.visit(node) for node in mutated.body]
        if transform.what is None:
            return
        module = ast.fix_missing_locations(ast.Module([mutated], []))
        namespace = dict(inspect.unwrap(statement).__globals__, smallest=smallest)
        exec(compile(module, statement.__name__, "exec"), namespace)
        yield transform.what, namespace[statement.__name__]


SUM = ("_zeta", "_ORDERS", "_EXPANSION", "_sqrt_horizon")
"""What :func:`bounds.sharper.sqrt_horizon` is made of: constants found when the module is read, and a compiled kernel."""


def sums():
    """Yield (what was changed, the kernel made of it, uncompiled) for every place in :data:`SUM`; first the kernel as it is."""
    parts = [
        node
        for node in ast.parse(inspect.getsource(bounds.sharper)).body
        if {getattr(node, "name", None), *(getattr(target, "id", None) for target in getattr(node, "targets", ()))} & set(SUM)
    ]
    for node in parts:
        node.decorator_list = []
    for n in range(-1, 1000):
        transform = Mutation(n)
        module = ast.fix_missing_locations(ast.Module([transform.visit(copy.deepcopy(node)) for node in parts], []))
        if transform.what is None and n >= 0:
            return
        namespace = dict(vars(bounds.sharper))
        exec(compile(module, "sums", "exec"), namespace)
        yield (transform.what or "").partition(": ")[2], uncompiled(namespace[SUM[-1]])


def uncompiled(kernel):
    """A kernel of one number, called for each of the different ones in an array."""

    def run(gamma):
        numbers, place = np.unique(gamma, return_inverse=True)
        out = np.empty((len(numbers), 1))
        for number, cell in zip(numbers, out, strict=True):
            kernel(number, cell)
        return out[place.ravel(), 0].reshape(np.shape(gamma))

    return run


def checks_of(claim):
    """The checks that apply to a claim, those of other test modules among them."""
    yield from checks.checks_of(claim)
    if claim.id in SCALES:
        yield scale_by_hand
    if "sqrt_horizon(" in inspect.getsource(claim.statement):
        yield lambda _: sum_is_the_polylogarithm()


def noticed(claim):
    """Whether some check fails (or the claim's own contract does)."""
    for check in checks_of(claim):
        try:
            check(claim)
        except (
            AssertionError,
            ValueError,
            TypeError,
            RuntimeWarning,
            FloatingPointError,
            ArithmeticError,
            IndexError,
            AttributeError,
        ) as error:
            return f"{check.__name__}: {type(error).__name__}"
    return None


def users_of(helper):
    """The claims that call a helper, by way of another one or as their premise."""
    callers = {helper.__name__}
    for _ in HELPERS:
        callers |= {h.__name__ for h in HELPERS if any(name in inspect.getsource(h) for name in callers)}
    return [
        claim.id
        for claim in CATALOGUE.values()
        if claim.premise is helper or any(f"{name}(" in inspect.getsource(claim.statement) for name in callers)
    ]


def patched(helper, mutant):
    """Put the mutant in the helper's place in every module of the package; return an undo function."""
    places = [
        m for name, m in list(sys.modules.items()) if name.startswith("bounds") and getattr(m, helper.__name__, None) is helper
    ]
    premises = {i: c for i, c in CATALOGUE.items() if c.premise is helper}
    for module in places:
        setattr(module, helper.__name__, mutant)
    forget()
    CATALOGUE.update({i: dataclasses.replace(c, premise=mutant) for i, c in premises.items()})

    def undo():
        for module in places:
            setattr(module, helper.__name__, helper)
        forget()
        CATALOGUE.update(premises)

    return undo


def main(names):
    """Mutate the named claims, or all and the helpers they share."""
    warnings.simplefilter("ignore")
    total, survived = 0, []
    claims = [CATALOGUE[name] for name in names] if names else list(CATALOGUE.values())
    for claim in tqdm(claims, unit="claim"):
        assert noticed(claim) is None, f"{claim.id} fails its checks as it is"
        for what, statement in mutants(claim.statement):
            total += 1
            if noticed(dataclasses.replace(claim, statement=statement)) is None:
                survived.append((claim.id, what))
    for helper in tqdm(() if names else HELPERS, unit="helper"):
        users = users_of(helper)
        for what, mutant in mutants(helper):
            total += 1
            undo = patched(helper, mutant)
            if all(noticed(CATALOGUE[name]) is None for name in users):
                survived.append((helper.__name__, what))
            undo()
    for what, mutant in () if names else sums():
        undo = patched(bounds.sharper._sqrt_horizon, mutant)
        unnoticed = all(noticed(CATALOGUE[name]) is None for name in users_of(bounds.sharper.sqrt_horizon))
        undo()
        assert what or unnoticed, "the kernel as it is fails its checks"
        total += bool(what)
        if what and unnoticed:
            survived.append(("sqrt_horizon", what))
    unexplained, used = 0, set()
    for name, what in survived:
        key = next((key for key in EQUIVALENT if key[0] == name and what.startswith(key[1])), None)
        used.add(key)
        unexplained += key is None
        print(f"not noticed  {name}: {what}  [{EQUIVALENT.get(key, 'WHY?')}]")
    for name, start in () if names else EQUIVALENT.keys() - used:
        print(f"explained, but noticed or gone  {name}: {start}")
    print(
        f"{total} changes, {total - len(survived)} noticed, {len(survived) - unexplained} equivalent, {unexplained} unexplained"
    )
    return int(unexplained > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
