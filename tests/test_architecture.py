"""The house's own rules, read from its files: who imports whom, what dvc.yaml and the profiles say."""

import ast
import contextlib
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks import report

ROOT = Path(__file__).resolve().parents[1]
OWN = ("flows", "tasks", "model", "fledgling", "apps")
MAY_IMPORT = {
    "model": {"model"},
    "tasks": {"tasks", "model"},
    "flows": {"flows", "tasks", "model"},
    "apps": {"apps", "tasks", "model"},
    "fledgling": set(OWN),
}
MODEL_MAY_IMPORT = {"torch", "numpy", "tokenizers", "safetensors", "model", *sys.stdlib_module_names}
NOBODYS_NAMES = {"utils", "util", "common", "helpers", "helper", "misc"}


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


@cache
def imports(path: Path, *, of_functions: bool = True) -> frozenset[str]:
    """The full names of what a module imports (`a.b` for `from a import b`); types-only imports are left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(name for node in _nodes(tree, of_functions) for name in _names(node, path))


def _nodes(tree: ast.AST, of_functions: bool) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not of_functions:
            continue
        yield node
        yield from _nodes(node, of_functions)


def _names(node: ast.AST, path: Path) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (found.name for found in node.names)
    elif isinstance(node, ast.ImportFrom):
        owner = node.module or ""
        if node.level:
            folder = path.relative_to(ROOT).parts[: -node.level]
            owner = ".".join((*folder, *([owner] if owner else [])))
        yield owner
        yield from (f"{owner}.{found.name}" for found in node.names)


def top(name: str) -> str:
    return name.partition(".")[0]


def own_file(name: str) -> Path | None:
    """The file of a first-party module, None where the name is none."""
    if top(name) not in OWN:
        return None
    path = ROOT / name.replace(".", "/")
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def reached(start: Path) -> set[Path]:
    """Every first-party file that a module imports, at any depth, packages' own files with them."""
    found: set[Path] = set()
    waiting = [start]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        for name in imports(path):
            for length in range(1, name.count(".") + 2):
                file = own_file(".".join(name.split(".")[:length]))
                if file is not None:
                    waiting.append(file)
    return found


def stages() -> dict[str, dict[str, Any]]:
    return dict(yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"])


def relative(paths: set[Path]) -> list[str]:
    return sorted(str(path.relative_to(ROOT)) for path in paths)


@pytest.mark.parametrize("package", OWN)
def test_imports_point_one_way(package: str) -> None:
    wrong = {
        str(path.relative_to(ROOT)): found
        for path in modules(package)
        if (found := {top(name) for name in imports(path)}.intersection(OWN) - MAY_IMPORT[package])
    }
    assert not wrong


def test_the_model_runs_on_a_bare_machine() -> None:
    wrong = {
        str(path.relative_to(ROOT)): found
        for path in modules("model")
        if (found := {top(name) for name in imports(path) if top(name)} - MODEL_MAY_IMPORT)
    }
    assert not wrong


def test_only_flows_imports_prefect() -> None:
    others = [path for package in OWN if package != "flows" for path in modules(package)]
    assert not [path for path in others if "prefect" in map(top, imports(path))]


@pytest.mark.parametrize("stage", stages())
def test_a_stage_needs_neither_prefect_nor_mlflow(stage: str) -> None:
    loaded = {top(name) for path in reached(ROOT / "tasks" / f"{stage}.py") for name in imports(path)}
    assert not loaded.intersection({"prefect", "mlflow", "flows", "fledgling", "apps"})


@pytest.mark.parametrize("module", ["cli", "export", "keeping", "review"])
def test_the_command_line_imports_its_subcommands_when_they_are_called(module: str) -> None:
    allowed = {"typer", *sys.stdlib_module_names}
    named = imports(ROOT / "fledgling" / f"{module}.py", of_functions=False)
    own = {"fledgling", "fledgling.export", "fledgling.keeping", "fledgling.review"}
    assert {top(name) for name in named - own} <= allowed


def test_the_command_line_loads_nothing_heavy() -> None:
    heavy = ["prefect", "mlflow", "torch", "dvc", "numpy", "pandas", "pyarrow", "datasets", "pydantic", "httpx"]
    code = f"import sys, fledgling.cli; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_thing_lives_with_its_owner() -> None:
    named = {
        str(path.relative_to(ROOT))
        for package in OWN
        for path in (ROOT / package).rglob("*")
        if path.stem in NOBODYS_NAMES
    }
    assert not named


@pytest.mark.parametrize("stage", stages())
def test_a_stage_runs_as_the_module_of_its_name(stage: str) -> None:
    declared = stages()[stage]
    command = declared["cmd"].split()
    assert command[:3] == ["python", "-m", f"tasks.{stage}"]
    assert (ROOT / "tasks" / f"{stage}.py").is_file()
    assert stage in declared["params"]
    assert f"metrics/{report.METRICS_OF.get(stage, stage)}.json" in declared["metrics"]


@pytest.mark.parametrize("stage", stages())
def test_a_stage_depends_on_all_code_it_imports(stage: str) -> None:
    declared = [ROOT / str(dep) for dep in stages()[stage]["deps"]]

    def is_covered(file: Path) -> bool:
        return file.read_text().strip() == "" or any(file == dep or dep in file.parents for dep in declared)

    uncovered = {
        file
        for file in reached(ROOT / "tasks" / f"{stage}.py")
        if not is_covered(file) and not _only_says_what_it_is(file)
    }
    assert relative(uncovered) == []


def _only_says_what_it_is(file: Path) -> bool:
    """Whether a module (a package's __init__, or settings of nothing that is made) can't change an output."""
    if file == ROOT / "tasks" / "telemetry.py":
        return True
    body = ast.parse(file.read_text(encoding="utf-8")).body
    return all(isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in body)


@pytest.mark.parametrize("stage", stages())
def test_a_stage_depends_on_no_code_that_it_does_not_import(stage: str) -> None:
    needed = reached(ROOT / "tasks" / f"{stage}.py")
    deps = [ROOT / dep for dep in stages()[stage]["deps"] if top(dep.replace("/", ".")) in ("tasks", "model")]
    code = [dep for dep in deps if dep.suffix == ".py" or any(dep.rglob("*.py"))]
    idle = {dep for dep in code if not any(dep == file or dep in file.parents for file in needed)}
    assert relative(idle) == []


def leaves(values: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{above}.{key}" if above else key
        found |= leaves(value, name) if isinstance(value, Mapping) else {name: value}
    return found


def profiles() -> dict[str, dict[str, Any]]:
    from tasks.profiles import overlay

    with contextlib.chdir(ROOT):
        return {path.stem: leaves(overlay(path.stem)) for path in Path("profiles").glob("*.yaml")}


def test_there_are_the_profiles_that_the_flow_offers() -> None:
    tree = ast.parse((ROOT / "flows" / "pipeline.py").read_text())
    values = {ast.unparse(node.targets[0]): node.value for node in tree.body if isinstance(node, ast.Assign)}
    offered = values["Profile"]
    assert isinstance(offered, ast.Subscript)
    assert {*profiles(), ast.literal_eval(values["AS_IT_IS"])} == set(ast.literal_eval(offered.slice))


def test_profiles_name_the_same_keys() -> None:
    keys = {name: frozenset(values) for name, values in profiles().items()}
    assert len(set(keys.values())) == 1, {name: sorted(found) for name, found in keys.items()}


def test_params_hold_the_laptop_profile() -> None:
    params = leaves(yaml.safe_load((ROOT / "params.yaml").read_text()))
    laptop = profiles()["laptop"]
    assert {key: params.get(key, "missing") for key in laptop} == laptop


def test_every_stage_has_its_section() -> None:
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    assert set(stages()) <= set(params)


def test_nothing_phones_home() -> None:
    from tasks.telemetry import OFF

    assert OFF == {
        **OFF,
        "DO_NOT_TRACK": "true",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DVC_NO_ANALYTICS": "1",
        "GX_ANALYTICS_ENABLED": "false",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    assert "analytics = false" in (ROOT / ".dvc" / "config").read_text()


def test_prefect_is_told_so_in_this_folder_too() -> None:
    import tomllib

    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["prefect"]
    assert settings["server"]["analytics_enabled"] is False
    assert settings["results"]["default_serializer"] == "json"
    assert settings["home"].startswith("var/")


def test_the_closing_summary_loads_no_numbers() -> None:
    code = "import sys, tasks.report; print([name for name in ('numpy', 'torch', 'pyarrow') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
