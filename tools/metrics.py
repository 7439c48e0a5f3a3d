"""Metrics of the code's grain, printed by `make lint`: `python -m tools.metrics`.

All figures are read from the syntax tree of `app`, `core` and `db` without migrations; nothing is imported or run.

- *Proxies of the task* are comparisons that tell masks from classes by something else: `masks is None` and its like
  (see `PROXIES`), outside of `core/tasks.py`. docs/architecture.md lists those that are left, with their reasons.
- *Forms* of a thing are the classes of data (dataclasses, named tuples, rows of the database, pydantic models) whose
  name contains one of its words (see `FORMS`).
- *Files crossed* by an act are the modules that define what its entry points (see `ACTS`) reach: functions, classes
  and values named in a body, followed through imports and re-exports. A class that is reached counts with all its
  methods. Annotations are left out. So are the entries of a registry (a dict at the level of a module or class), of
  which one act uses one; `ACTS` names that one. Methods of objects are not resolved unless their class is reached, so
  each figure is a lower bound. A verdict is the entry "decide" of the table of `app.routes.acts`; until 2026-11-30
  its figure included notes, undo, redo and acts on classes, which the same route stores.
- *Long modules* have more than `LONG` lines: a sign to look whether they hold one idea, no failure.
"""

import ast
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[1]
FOLDERS = ("app", "core", "db")
LONG = 500
PROXIES = frozenset({"masks", "colours", "table"})
TASK_MODULES = frozenset({"core.tasks"})
FORMS: Mapping[str, tuple[str, ...]] = {
    "a region": ("Region",),
    "an image": ("Image", "Sample"),
}
DATA_BASES = frozenset({"NamedTuple", "TypedDict", "Base", "BaseModel"})
ACTS: Mapping[str, tuple[str, ...]] = {
    "import": ("app.services.imports.jobs.add_import", "app.services.imports.run.run_import"),
    "round": (
        "app.services.rounds.request.start_round",
        "app.worker.steps.take_snapshot",
        "app.services.rounds.snapshots._CLASSES",
        "app.worker.steps.train_fold",
        "app.services.recipes.cross_fold.CROSS_FOLD",
        "core.rounds.run_fold",
        "core.tasks.CLASSIFICATION",
        "app.worker.steps.judge",
        "core.judge.found.judge_folds",
    ),
    "verdict": ("app.routes.acts.act", "app.routes.acts._decide"),
    "mask": ("app.routes.masks.one_mask", "app.routes.masks.save"),
}
Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = Function | ast.ClassDef | ast.expr


class MetricsError(Exception):
    """An entry point of `ACTS` no longer exists."""


@dataclass(frozen=True)
class Module:
    """A parsed module; `name` is dotted, and that of a package where `is_package`."""

    name: str
    text: str
    is_package: bool = False

    @cached_property
    def tree(self) -> ast.Module:
        """Syntax tree of the module."""
        return ast.parse(self.text)

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """All nodes of the syntax tree."""
        return list(ast.walk(self.tree))

    @property
    def functions(self) -> list[Function]:
        """Functions and methods, nested ones too."""
        return [node for node in self.nodes if isinstance(node, Function)]

    @property
    def classes(self) -> list[ast.ClassDef]:
        """Classes at module level."""
        return [node for node in self.tree.body if isinstance(node, ast.ClassDef)]


def read_modules(root: Path, folders: Iterable[str] = FOLDERS) -> list[Module]:
    """Read the modules below `folders`, without migrations."""
    modules = []
    for path in sorted(chain.from_iterable((root / folder).rglob("*.py") for folder in folders)):
        parts = path.relative_to(root).with_suffix("").parts
        if "migrations" not in parts:
            is_package = parts[-1] == "__init__"
            modules.append(Module(".".join(parts[:-1] if is_package else parts), path.read_text("utf-8"), is_package))
    return modules


def lines(node: Function) -> int:
    """Count the lines of a function, its decorators left out."""
    return (node.end_lineno or node.lineno) - node.lineno + 1


def is_one_statement(node: Function) -> bool:
    """Tell whether a function's body is one statement beside its docstring."""
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    return len(body) == 1 and not isinstance(body[0], ast.If | ast.For | ast.While | ast.With | ast.Try | ast.Match)


def repeated(names: Iterable[str]) -> dict[str, int]:
    """Count the names that occur more than once, most frequent first, then by name."""
    counts = Counter(names)
    return {name: counts[name] for name in sorted(counts, key=lambda name: (-counts[name], name)) if counts[name] > 1}


def proxies(modules: Iterable[Module]) -> list[str]:
    """List the comparisons with None that tell the task by proxy, as `module:line`."""
    return [
        f"{module.name}:{node.lineno}"
        for module in modules
        if module.name not in TASK_MODULES
        for node in module.nodes
        if isinstance(node, ast.Compare)
        and isinstance(node.ops[0], ast.Is | ast.IsNot)
        and isinstance(node.comparators[0], ast.Constant)
        and node.comparators[0].value is None
        and ast.unparse(_assigned(node.left)).rpartition(".")[2] in PROXIES
    ]


def listed_proxies(text: str) -> dict[str, int]:
    """Return the modules of the document's list of proxies with their numbers: `module` 2 in the rows of its table."""
    section = text.partition("## The seam between classes and masks")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return {name: int(count) for row in rows for name, count in re.findall(r"`([\w.]+)` (\d+)", row)}


def _assigned(node: ast.expr) -> ast.expr:
    """Return the name in `(name := value)`, other expressions as they are."""
    return node.target if isinstance(node, ast.NamedExpr) else node


def forms(modules: Iterable[Module], words: Sequence[str]) -> list[str]:
    """List the classes of data whose name contains one of the words, as `module.Class`."""
    return [
        f"{module.name}.{node.name}"
        for module in modules
        for node in module.classes
        if _is_data(node) and not _words(node.name).isdisjoint(words)
    ]


def _is_data(node: ast.ClassDef) -> bool:
    decorators = (ast.unparse(one).partition("(")[0] for one in node.decorator_list)
    bases = (ast.unparse(one).rpartition(".")[2] for one in node.bases)
    return any(one.rpartition(".")[2] == "dataclass" for one in decorators) or not DATA_BASES.isdisjoint(bases)


def _words(name: str) -> set[str]:
    """Split a name in capitals, such as `FoundRegion`, into its words."""
    return set("".join(f" {letter}" if letter.isupper() else letter for letter in name).split())


@dataclass
class CallGraph:
    """Names that definitions of a project use, resolved to the definitions of other modules."""

    modules: Sequence[Module]
    _by_name: dict[str, Module] = field(init=False)
    _defined: dict[str, dict[str, Definition]] = field(init=False)
    _imported: dict[str, dict[str, tuple[str, str]]] = field(init=False)

    def __post_init__(self) -> None:
        """Index definitions and imports of all modules."""
        self._by_name = {module.name: module for module in self.modules}
        self._defined = {module.name: dict(_definitions(module.tree)) for module in self.modules}
        self._imported = {module.name: dict(_imports(module)) for module in self.modules}

    def crossed(self, entries: Iterable[str]) -> list[str]:
        """List the modules that the entry points, each `module.name`, reach.

        Raises:
            MetricsError: an entry point does not exist.
        """
        waiting = [self._entry(one) for one in entries]
        seen = set(waiting)
        while waiting:
            module, name = waiting.pop()
            for found in self._used(module, self._defined[module][name]):
                if found not in seen:
                    seen.add(found)
                    waiting.append(found)
        return sorted({module for module, _ in seen})

    def _entry(self, entry: str) -> tuple[str, str]:
        module, _, name = entry.rpartition(".")
        found = self._resolve(module, name)
        if found is None:
            raise MetricsError(f"{entry} does not exist; name the act's new entry point in ACTS of tools/metrics.py")
        return found

    def _used(self, module: str, definition: Definition) -> Iterator[tuple[str, str]]:
        for node in _outside_annotations(_without_registries(definition)):
            found = None
            if isinstance(node, ast.Name):
                found = self._resolve(module, node.id)
            elif isinstance(node, ast.Attribute) and (owner := self._module_of(module, node.value)) is not None:
                found = self._resolve(owner, node.attr)
            if found is not None:
                yield found

    def _module_of(self, module: str, node: ast.expr) -> str | None:
        """Return the project's module that an expression such as `reviews` or `core.data` names."""
        if isinstance(node, ast.Attribute):
            parent = self._module_of(module, node.value)
            name = None if parent is None else f"{parent}.{node.attr}"
        elif isinstance(node, ast.Name) and node.id in self._imported[module]:
            source, imported = self._imported[module][node.id]
            name = f"{source}.{imported}" if imported else source
        else:
            return None
        return name if name in self._by_name else None

    def _resolve(self, module: str, name: str) -> tuple[str, str] | None:
        """Return the module that defines a name and its name there, following re-exports."""
        if module not in self._by_name:
            return None
        if name in self._defined[module]:
            return module, name
        source, imported = self._imported[module].get(name, ("", ""))
        return self._resolve(source, imported) if imported else None


def _definitions(tree: ast.Module) -> Iterator[tuple[str, Definition]]:
    for node in tree.body:
        if isinstance(node, Function | ast.ClassDef):
            yield node.name, node
        elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            value = ast.Constant(None) if isinstance(node.value, ast.Dict) else node.value  # a registry ends the path
            yield from (
                (name.id, value) for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)
            )


def _imports(module: Module) -> Iterator[tuple[str, tuple[str, str]]]:
    package = module.name.split(".") if module.is_package else module.name.split(".")[:-1]
    for node in module.nodes:
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*base, *((node.module,) if node.module else ())])
            yield from ((name.asname or name.name, (source, name.name)) for name in node.names)
        elif isinstance(node, ast.Import):
            for name in node.names:
                first = name.name.partition(".")[0]
                yield (name.asname, (name.name, "")) if name.asname else (first, (first, ""))


def _without_registries(definition: Definition) -> Definition:
    """Return a class without the dicts at its level, any other definition as it is."""
    if not isinstance(definition, ast.ClassDef):
        return definition
    body = [node for node in definition.body if not isinstance(getattr(node, "value", None), ast.Dict)]
    return ast.ClassDef(**{**dict(ast.iter_fields(definition)), "body": body})


def _outside_annotations(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    for name, value in ast.iter_fields(node):
        if name not in {"annotation", "returns"}:
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from _outside_annotations(child)


def long_modules(modules: Iterable[Module]) -> dict[str, int]:
    """Return the lines of each module that has more than `LONG`, longest first."""
    counts = {module.name: len(module.text.splitlines()) for module in modules}
    return {name: count for name, count in sorted(counts.items(), key=lambda one: -one[1]) if count > LONG}


def report(modules: Sequence[Module], acts: Mapping[str, Sequence[str]] = ACTS) -> dict[str, str]:
    """Return each metric's name and its value in words."""
    code = [module for module in modules if module.tree.body]
    functions = [function for module in code for function in module.functions]
    several_modules = repeated(module.name.rpartition(".")[2] for module in code if not module.is_package)
    several_classes = repeated(node.name for module in code for node in module.classes if node.name[0] != "_")
    found = proxies(code)
    graph = CallGraph(modules)
    data = [node for module in code for node in module.classes if _is_data(node)]
    return {
        "modules": f"{len(code):,}",
        f"modules of more than {LONG} lines": _listed(long_modules(code)),
        "median lines of a module": f"{median(len(module.text.splitlines()) for module in code):g}",
        "median lines of a function": f"{median(map(lines, functions)):g}",
        "functions of one statement": f"{sum(map(is_one_statement, functions)):,} of {len(functions):,}",
        "module names in several places": _listed(several_modules),
        "class names in several places": _listed(several_classes),
        "proxies of the task": f"{len(found)} in {len({one.partition(':')[0] for one in found})} modules",
        "classes of data": f"{len(data):,}",
        **{f"forms of {thing}": str(len(forms(code, words))) for thing, words in FORMS.items()},
        "files crossed": " · ".join(f"{act} {len(graph.crossed(entries))}" for act, entries in acts.items()),
    }


def _listed(counts: Mapping[str, int], most: int = 6) -> str:
    shown = ", ".join(f"{name} {count}" for name, count in list(counts.items())[:most])
    return f"{len(counts)} ({shown}{', ...' if len(counts) > most else ''})" if counts else "0"


def main() -> int:
    """Print the metrics; with names of acts as arguments, the modules that these cross."""
    modules = read_modules(ROOT)
    try:
        if len(sys.argv) > 1:
            graph = CallGraph(modules)
            for act in sys.argv[1:]:
                print("\n".join((f"{act}:", *(f"  {name}" for name in graph.crossed(ACTS[act])))))
            return 0
        figures = report(modules)
    except MetricsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    width = max(map(len, figures))
    print("\n".join(f"{name:<{width}}  {value}" for name, value in figures.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
