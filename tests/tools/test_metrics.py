"""Metrics of the code's grain, on small projects whose figures are known, and on the project itself."""

import textwrap
from collections import Counter
from pathlib import Path

import pytest

from tools.metrics import (
    ACTS,
    LONG,
    ROOT,
    CallGraph,
    MetricsError,
    Module,
    forms,
    listed_proxies,
    long_modules,
    proxies,
    read_modules,
    report,
)


def module(name: str, text: str, *, is_package: bool = False) -> Module:
    return Module(name, textwrap.dedent(text), is_package)


def crossed(entry: str, *modules: Module) -> list[str]:
    return CallGraph(modules).crossed([entry])


def test_a_call_is_followed_through_imports_aliases_and_re_exports() -> None:
    modules = (
        module("app.start", "from app import deep\nfrom app.deep import add as plus\ndef run(): plus(deep.sub(1))"),
        module("app.deep", "from .sums import add\nfrom app.deep.rest import sub", is_package=True),
        module("app.deep.sums", "import core.numbers\ndef add(): return core.numbers.ONE"),
        module("app.deep.rest", "def sub(one): return one\ndef unused(): other()"),
        module("core", "", is_package=True),
        module("core.numbers", "ONE = 1"),
    )
    assert crossed("app.start.run", *modules) == ["app.deep.rest", "app.deep.sums", "app.start", "core.numbers"]


def test_a_reached_class_counts_with_its_methods() -> None:
    store = module("core.store", "from core.disk import write\nclass Store:\n    def put(self): write()")
    disk = module("core.disk", "def write(): pass")
    assert crossed(
        "app.a.run", module("app.a", "from core.store import Store\ndef run(): Store().put()"), store, disk
    ) == [
        "app.a",
        "core.disk",
        "core.store",
    ]


def test_annotations_and_entries_of_registries_are_not_crossed() -> None:
    start = """
        from core.table import TABLE
        from core.form import Form
        def run(form: Form) -> Form: return TABLE["one"]
    """
    modules = (
        module("app.start", start),
        module("core.table", "from core.one import one\nTABLE: dict = {'one': one}"),
        module("core.one", "def one(): pass"),
        module("core.form", "class Form: pass"),
    )
    assert crossed("app.start.run", *modules) == ["app.start", "core.table"]


def test_entries_of_a_class_level_registry_are_not_crossed_but_its_methods_are() -> None:
    base = """
        from core.kinds import Kind
        from core.disk import write
        class Base:
            types: dict = {Kind: 1}
            def save(self): write()
    """
    modules = (
        module("core.base", base),
        module("core.kinds", "class Kind: pass"),
        module("core.disk", "def write(): pass"),
    )
    assert crossed("core.base.Base", *modules) == ["core.base", "core.disk"]


def test_mutual_recursion_terminates() -> None:
    assert crossed("core.a.one", module("core.a", "def one(): two()\ndef two(): one()")) == ["core.a"]


def test_a_missing_entry_point_is_named_with_a_cure() -> None:
    with pytest.raises(MetricsError, match=r"core\.a\.two does not exist; .* ACTS"):
        crossed("core.a.two", module("core.a", "def one(): pass"))


def test_a_proxy_of_the_task_is_found_outside_the_task_modules() -> None:
    text = "def ask(masks, row):\n    return masks is None or row.colours is not None or row.name is None"
    assert proxies([module("app.a", text), module("core.tasks", text)]) == ["app.a:2", "app.a:2"]


def test_a_proxy_that_is_assigned_where_it_is_compared_is_found() -> None:
    assert proxies([module("app.a", "if (masks := row.masks) is None: ...")]) == ["app.a:1"]


def test_the_list_of_proxies_is_read_from_the_rows_of_its_section() -> None:
    text = """
## Others
| `app.a` 1 | elsewhere |
## The seam between classes and masks
`app.b` 3 in a sentence
| modules | reason |
|---|---|
| `app.c` 1, `core.d` 12 | with `core.e` 4 in its reason |
## More
| `app.f` 1 | elsewhere |
"""
    assert listed_proxies(text) == {"app.c": 1, "core.d": 12}


def test_every_proxy_of_the_task_is_listed_with_its_reason() -> None:
    """The list in docs/architecture.md shrinks with the code; what is new is a second seam."""
    found = Counter(place.partition(":")[0] for place in proxies(read_modules(ROOT)))
    assert listed_proxies((ROOT / "docs" / "architecture.md").read_text("utf-8")) == dict(found)


def test_data_classes_are_counted_as_forms_by_the_words_in_their_name() -> None:
    text = """
        @dataclass(frozen=True)
        class FoundRegion: ...
        @dataclasses.dataclass
        class Regional: ...
        class RegionTable: ...
        class RegionRow(Base): ...
    """
    assert forms([module("core.a", text)], ["Region"]) == ["core.a.FoundRegion", "core.a.RegionRow"]


def test_the_report_counts_lines_statements_and_repeated_names() -> None:
    one = module(
        "core.one.rounds",
        '''
        class Plan: ...
        def short():
            """Return one."""
            return 1
        def long():
            if True:
                return 1
        ''',
    )
    other = module("core.other.rounds", "class Plan: ...\nasync def run(): pass")
    found = report([one, other, module("core", "", is_package=True)], {"run": ["core.other.rounds.run"]})
    assert found["modules"] == "2"
    assert found["median lines of a function"] == "3"
    assert found["functions of one statement"] == "2 of 3"
    assert found["module names in several places"] == "1 (rounds 2)"
    assert found["class names in several places"] == "1 (Plan 2)"
    assert found["files crossed"] == "run 1"


def test_long_modules_are_listed_longest_first() -> None:
    modules = [Module(f"core.a{more}", "one = 1\n" * (LONG + more)) for more in (0, 1, 2)]
    assert list(long_modules(modules).items()) == [("core.a2", LONG + 2), ("core.a1", LONG + 1)]


def test_migrations_are_not_counted(tmp_path: Path) -> None:
    for path in ("db/__init__.py", "db/engine.py", "db/migrations/versions/0001.py"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    assert [one.name for one in read_modules(tmp_path, ["db"])] == ["db", "db.engine"]


def test_every_act_of_the_project_has_its_entry_points() -> None:
    graph = CallGraph(read_modules(ROOT))
    for act, entries in ACTS.items():
        assert len(graph.crossed(entries)) > 1, act
