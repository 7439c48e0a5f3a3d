"""The method, without database and web; `find_label_issues` and `run_round` are its interface for notebooks.

Both are loaded when they are first used, so that `import core` stays cheap.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from core.api import Round, find_label_issues, run_round

__all__ = ["Round", "find_label_issues", "run_round"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 types are those of `core.api`
    """Return a name of `core.api`, which is loaded at its first use."""
    if name in __all__:
        return getattr(import_module("core.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
