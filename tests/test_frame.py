"""Facts about the project as a whole: what is committed, what is pinned, what imports what."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "milango"
LISTS = ("demo", "test")

# Written in pieces, so that this file may be searched too.
REGISTRIES = ("pypi" + ".org", "pythonhosted" + ".org", "npmjs" + ".org", "npmjs" + ".com")
MACHINES = re.compile(
    r"(?<![\w./~$}-])/(?:work|root|home|Users|tmp/(?:bash|brief|claude))/" + r"[\w.]"
)


@cache
def committed() -> tuple[Path, ...]:
    """Every file that is in git, or would be after `git add .`."""
    if not (ROOT / ".git").exists():
        # An exported tree: all that is there was committed, but for what runs leave behind.
        leavings = {".venv", "build", "dist", "__pycache__", ".hypothesis", ".milango"}
        files = (path for path in ROOT.rglob("*") if not leavings.intersection(path.parts))
    else:
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
        files = (ROOT / name for name in listed.stdout.split("\0") if name)
    return tuple(sorted(path for path in files if path.is_file()))


def texts() -> Iterator[tuple[str, str]]:
    """Committed files as (name, text); pictures and other binaries are left out."""
    for path in committed():
        content = path.read_bytes()
        if b"\0" not in content:
            yield str(path.relative_to(ROOT)), content.decode("utf-8")


def modules() -> list[Path]:
    """Our own Python files that have anything in them."""
    found = [path for path in SOURCE.rglob("*.py") if "migrations" not in path.parts]
    return [path for path in found if path.read_text("utf-8").strip()]


def called(path: Path) -> str:
    return str(path.relative_to(SOURCE))


def pins(name: str) -> dict[str, str]:
    """The requirements of one list with what stands behind each: `{"click==8.5.1": hashes}`."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text("utf-8")
    lines = re.sub(r"\\\n", " ", re.sub(r"(?m)^\s*#.*\n", "", text)).splitlines()
    return {line.split(" --hash")[0].strip(): line for line in lines if line.strip()}


def fits(asked: str, pin: str) -> bool:
    """Whether an exact pin such as `click==8.5.1` is what `click>=8.2` asks for."""
    name, version = pin.split("==")
    wanted = Requirement(asked)
    return canonicalize_name(wanted.name) == name and wanted.specifier.contains(version)


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def test_no_file_names_a_package_registry():
    named = [name for name, text in texts() if any(host in text for host in REGISTRIES)]
    assert named == []


def test_no_file_names_a_path_of_a_machine():
    named = [(name, found[0]) for name, text in texts() if (found := MACHINES.search(text))]
    assert named == []


@pytest.mark.parametrize(
    "line", ["see /work/" + "main", '"/home/' + "wanja/x", "(/root/" + ".cache)"]
)
def test_a_path_of_a_machine_would_be_found(line: str):
    assert MACHINES.search(line)


@pytest.mark.parametrize("name", LISTS)
def test_every_requirement_is_exact_and_hashed(name: str):
    loose = [
        pin for pin, line in pins(name).items() if "==" not in pin or "--hash=sha256:" not in line
    ]
    assert loose == []


def test_what_runs_is_what_was_tested():
    assert pins("demo").keys() <= pins("test").keys()


def test_the_lists_hold_what_the_project_asks_for():
    tables = project()
    asked = [
        *tables["project"]["dependencies"],
        *tables["project"]["optional-dependencies"]["postgres"],
        *(line for group in tables["dependency-groups"].values() for line in group),
    ]
    exact = [pin.split(" ;")[0] for name in ("test", "bench") for pin in pins(name)]
    missing = [line for line in asked if not any(fits(line, pin) for pin in exact)]
    assert missing == [], "run make lock"


def test_every_dependency_has_its_line_of_justification():
    page = (ROOT / "docs" / "decisions" / "0001-dependencies.md").read_text("utf-8")
    asked = [Requirement(line).name for line in project()["project"]["dependencies"]]
    assert [name for name in asked if not re.search(rf"\b{name}\b", page)] == []


def test_every_decision_is_in_the_index():
    folder = ROOT / "docs" / "decisions"
    index = (folder / "README.md").read_text("utf-8")
    assert [page.name for page in folder.glob("0*.md") if page.name not in index] == []


CITED = re.compile(
    r"\bthreats? [A-Z][0-9]|Daraja " + r"reference|\([ABC][0-9]{1,2}(, [ABC][0-9]{1,2})*\)"
)
DECISION = re.compile(r"\b[Dd]ecisions? ([0-9]{4})\b")


def test_no_file_cites_what_is_not_here():
    cited = [(name, found[0]) for name, text in texts() if (found := CITED.search(text))]
    assert cited == []
    known = {page.name[:4] for page in (ROOT / "docs" / "decisions").glob("0*.md")}
    assert {number for _, text in texts() for number in DECISION.findall(text)} - known == set()


@pytest.mark.parametrize("line", ["so it is (" + "A13).", "(A6" + ", B15)", "(threats" + " B2)"])
def test_a_citation_of_what_is_not_here_would_be_found(line: str):
    assert CITED.search(line)


def test_every_module_says_what_it_is_for():
    silent = [called(path) for path in modules() if not ast.get_docstring(parse(path))]
    assert silent == []


def test_transactions_live_in_flows_and_nowhere_else():
    owners = {called(path).split("/")[0] for path in modules() if handles_transactions(path)}
    assert owners <= {"flows"}


def test_imports_go_down_the_floors_only():
    command = [
        sys.executable,
        "-c",
        "from importlinter.cli import lint_imports_command as run; run()",
    ]
    linted = subprocess.run(
        [*command, "--no-cache", "--no-logo"], cwd=ROOT, capture_output=True, text=True
    )
    assert linted.returncode == 0, linted.stdout


def test_no_test_has_a_name_longer_than_some_lines(request):
    long = [item.nodeid[:200] for item in request.session.items if len(item.nodeid) > 1_000]
    assert long == []


def test_make_shows_its_verbs():
    shown = subprocess.run(["make"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert {"make demo", "make test", "make lint"} <= set(re.findall(r"make \w+", shown))


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def handles_transactions(path: Path) -> bool:
    return any(
        isinstance(node, ast.ImportFrom)
        and node.module in {"django.db", "django.db.transaction"}
        and any(name.name in {"transaction", "atomic", "on_commit"} for name in node.names)
        for node in ast.walk(parse(path))
    )
