"""The arrows between the packages, and what each may import."""

import ast
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
ALLOWED = {
    "mdps": {"mdps"},
    "bounds": {"bounds", "mdps"},
    "trpo": {"trpo", "mdps"},
    "studies": {"studies", "bounds", "trpo", "mdps"},
}
ONLY_IN_STUDIES = {"hydra", "omegaconf", "pandas", "seaborn", "matplotlib", "pyarrow"}
FILES = [file for package in ALLOWED for file in sorted((ROOT / package).rglob("*.py"))]


def imports(file):
    for node in ast.walk(ast.parse(file.read_text())):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file}:{node.lineno}: relative import"
            names = [node.module]
        for name in names:
            yield node.lineno, name.split(".")[0]


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(ROOT)))
def test_arrows(file):
    package = file.relative_to(ROOT).parts[0]
    for line, name in imports(file):
        if name in ALLOWED:
            assert name in ALLOWED[package], f"{file}:{line}: {package} imports {name}"
        if package != "studies":
            assert name not in ONLY_IN_STUDIES, f"{file}:{line}: {name} belongs in studies"
        if name == "gymnasium":
            known = package == "trpo" or file.name == "gym_bridge.py" or "adapters" in file.parts
            assert known, f"{file}:{line}: gymnasium belongs in gym_bridge, trpo and the adapters"


@pytest.mark.parametrize("package", ALLOWED)
def test_init_files_only_re_export(package):
    for file in (ROOT / package).rglob("__init__.py*"):
        lazy = file.with_suffix(".pyi") != file and file.with_suffix(".pyi").exists()  # what it re-exports is in the stub
        kinds = {type(node) for node in ast.parse(file.read_text()).body}
        assert kinds <= ({ast.Import, ast.Assign, ast.Expr} if lazy else {ast.ImportFrom, ast.Expr}), file


def test_what_verifies_does_not_import_torch_or_pandas():
    code = "import sys, mdps, bounds; print(sorted({'torch', 'pandas', 'matplotlib', 'gymnasium'} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_exact_steps_do_not_import_torch_and_a_name_is_no_module():
    code = """if True:
        import sys, trpo
        trpo.region_step, trpo.Region, trpo.theoretical_penalty, trpo.exact.region_step
        assert "torch" not in sys.modules
        import trpo.neural, trpo.tables
        from trpo import *
        assert callable(step) and callable(trpo.tabulate) and TRPO.__module__ == "trpo.agent"
    """
    subprocess.run([sys.executable, "-c", code], check=True)
