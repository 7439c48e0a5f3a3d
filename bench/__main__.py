"""List the benchmarks: `python -m bench`, or run one: `python bench/NAME.py --help`."""

import ast
from pathlib import Path

for file in sorted(Path(__file__).parent.glob("*.py")):
    if not file.name.startswith("_"):
        first = (ast.get_docstring(ast.parse(file.read_text())) or "").partition("\n")[0]
        print(f"python bench/{file.name:<20} {first}")
