"""Merges the symbol graphs of a package's modules into one, of the module that re-exports them.

    python3 merge_symbols.py GRAPHS FILE NAME MODULE…

DocC resolves links within one module: of what `import RouteGrad` makes one for its users, this makes one for DocC.
"""

import json
import pathlib
import sys


def main() -> None:
    graphs, out, name, *modules = sys.argv[1:]
    merged = None
    found = set()
    for path in sorted(pathlib.Path(graphs).glob("*.symbols.json")):
        # MODULE.symbols.json, and MODULE@OTHER.symbols.json with what it adds to another's types.
        module = path.name.removesuffix(".symbols.json").split("@")[0]
        if module not in modules:
            continue
        found.add(module)
        graph = json.loads(path.read_text())
        if merged is None:
            merged = {**graph, "symbols": [], "relationships": [], "module": {**graph["module"], "name": name}}
        merged["symbols"] += graph["symbols"]
        merged["relationships"] += graph["relationships"]
    missing = set(modules) - found
    if merged is None or missing:
        sys.exit(f"{graphs}: no symbol graphs of {', '.join(sorted(missing))}")
    pathlib.Path(out).write_text(json.dumps(merged))


if __name__ == "__main__":
    main()
