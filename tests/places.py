"""Every named failpoint of the code, found by reading it."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("platform/journal", "platform/accounts", "platform/config", "generation", "moderation", "billing")


def sources() -> Iterator[tuple[Path, ast.Module]]:
    """The parsed modules of the rooms, migrations left out."""
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            if "migrations" not in path.parts:
                yield path, ast.parse(path.read_text())


def called(name: str) -> Iterator[tuple[Path, ast.Call]]:
    """Each call of a function of this name, however it was imported."""
    for path, tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                target = node.func
                spelled = target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", None)
                if spelled == name:
                    yield path, node


def steps() -> dict[str, Path]:
    """The names of all transactions on the path, with the file of each."""
    found = {}
    for path, call in called("step"):
        if call.args and isinstance(call.args[0], ast.Constant) and isinstance(call.args[0].value, str):
            found[call.args[0].value] = path
    return found


def failpoints() -> set[str]:
    """Every place where a test may kill the process."""
    places = {f"{name}.{side}" for name in steps() for side in ("before_commit", "after_commit")}
    for _, call in called("failpoint"):
        if call.args and isinstance(call.args[0], ast.Constant):
            places.add(call.args[0].value)
    return places
