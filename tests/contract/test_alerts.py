"""Every alert that is raised somewhere is in the guide, with who ends it."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "guides" / "sre.md"
EXAMPLES = "libs/events/headrace_events/examples/"


def table() -> dict[str, tuple[str, str]]:
    """Return, by alert, the files that raise and resolve it."""
    lines = GUIDE.read_text().split("| alert | severity |")[1].split("\n\n")[0].splitlines()[2:]
    cells = [[c.strip().strip("`") for c in line.strip("|").split("|")] for line in lines]
    return {row[0]: (row[-2], row[-1]) for row in cells}


def calls(name: str) -> list[tuple[str, ast.Call]]:
    """Return each call of `name` in the product's sources, with its file."""
    found = []
    for folder in ("services", "libs"):
        for path in sorted((ROOT / folder).glob("*/headrace_*/**/*.py")):
            file = path.relative_to(ROOT).as_posix()
            if file.startswith(EXAMPLES) or name not in path.read_text():
                continue
            nodes = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)]
            found += [(file, n) for n in nodes if ast.unparse(n.func).split(".")[-1] == name]
    return found


def name_of(call: ast.Call, file: str) -> str | None:
    """Return the alert's name with `*` for what varies; None if it comes from elsewhere."""
    (value,) = [k.value for k in call.keywords if k.arg == "name"]
    constants = dict(re.findall(r'^(\w+) = "(.*)"$', (ROOT / file).read_text(), re.M))
    if isinstance(value, ast.JoinedStr):
        parts = [
            ast.unparse(v.value) if isinstance(v, ast.FormattedValue) else "" for v in value.values
        ]
        return "".join(
            str(v.value) if isinstance(v, ast.Constant) else constants.get(part, "*")
            for v, part in zip(value.values, parts, strict=True)
        )
    return constants.get(ast.unparse(value))


def test_every_alert_is_in_the_guide_once_for_each_place_that_raises_it() -> None:
    raised = sorted(file for file, _ in calls("AlertRaised"))
    assert raised == sorted(raising for raising, _ in table().values())


def test_its_name_is_the_one_in_the_guide() -> None:
    documented = {
        (re.sub(r"\b[A-Z]+\b", "*", alert), raising) for alert, (raising, _) in table().items()
    }
    named = [(name_of(call, file), file) for file, call in calls("AlertRaised")]
    known = [pair for pair in named if pair[0] is not None]
    assert len(known) >= 3, "only an objective's name is made elsewhere"
    assert set(known) <= documented


def test_who_is_said_to_resolve_it_resolves_alerts() -> None:
    resolving = {file for file, _ in calls("AlertResolved")}
    assert {resolver for _, resolver in table().values()} == resolving
