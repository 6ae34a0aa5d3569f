"""How kernels are compiled: anew where what they are made of has changed and only there, with loops unrolled or not."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
INNER = """
from mdps.kernels import inner

@inner("f8(f8)")
def part(x):
    return x + {number}
"""
OUTER = """
from numba import types
from mdps.kernels import chunked, inner, kernel
from part import part

@inner("f8(f8)")
def tenfold(x):  # compiled on the way to what calls it, of the same file
    return 10 * part(x)

@chunked("f8(f8)")
def whole(x):
    return tenfold(x)

@kernel("(f8[:],f8[:])", "(a)->()")
def every(x, out):
    out[0] = part(x[0])

print(whole(1.0), every([1.0]), sum(whole.compiled.stats.cache_hits.values()))
"""


def said(folder, code="import whole"):
    env = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}"}
    env.pop("NUMBA_CACHE_DIR", None)
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


LOOP = """
from mdps.kernels import chunked

def rolled(x):
    found = 0.0
    for i in range(len(x)):
        found += x[i]
    return found

def unrolled(x):
    found = 0.0
    for i in range(len(x)):
        found += x[i]
    return found

for function in (rolled, unrolled):
    summed = chunked("f8(f8[::1])", rolled=function is rolled)(function)
    print(next(iter(summed.compiled.inspect_asm().values())).count("addsd"))
"""
"""A sum in one order, which cannot be vectorised: one addition is in the code, or one for each turn that is unrolled."""


def test_a_loop_is_unrolled_unless_it_is_to_stay_rolled(tmp_path):
    (tmp_path / "whole.py").write_text(LOOP)
    rolled, unrolled = (int(additions) for additions in said(tmp_path))
    assert rolled == 1
    assert unrolled > 1


OTHERS = """
import threading
import time
from numba.core import codegen
from numba.core.compiler_lock import global_compiler_lock
from mdps.kernels import chunked

@chunked("f8(f8)", rolled=True)
def first(x):
    return x + 1

@chunked("f8(f8)", rolled=True)
def second(x):
    return x + 2

def main():
    with global_compiler_lock:  # as while numba compiles something else
        passes = codegen.create_pass_builder
        other = threading.Thread(target=lambda: first.compiled, daemon=True)
        other.start()
        time.sleep(0.5)
        print(codegen.create_pass_builder is passes)
        print(second(1.0))  # a kernel that this something else calls
    other.join()
    print(first(1.0))
"""


def test_compiling_leaves_alone_what_numba_compiles_for_others(tmp_path):
    (tmp_path / "whole.py").write_text(OTHERS)
    assert said(tmp_path, "import whole; whole.main()") == ["True", "3.0", "2.0"]


def test_a_change_in_what_is_inlined_reaches_those_that_have_it(tmp_path):
    (tmp_path / "whole.py").write_text(OUTER)
    (tmp_path / "part.py").write_text(INNER.format(number=1))
    assert said(tmp_path) == ["20.0", "2.0", "0"]
    assert said(tmp_path) == ["20.0", "2.0", "1"]
    (tmp_path / "part.py").write_text(INNER.format(number=2))
    assert said(tmp_path) == ["30.0", "3.0", "0"]
