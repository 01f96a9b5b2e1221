"""Write goldens.jsonl: every family's points, solved in high precision. `make_goldens.py [family ...]` redoes only those;
the others are taken from the cache. Deterministic; a full run takes about three minutes."""
import hashlib
import importlib
import json
import sys
import tempfile
import time
from pathlib import Path

import core

HERE = Path(__file__).resolve().parent
CACHE = Path(tempfile.gettempdir()) / "chainrule-goldens"      # solved points by their text; --fresh ignores it
FAMILIES = ["unary", "binary", "reduce", "shape", "index", "activation", "loss", "norm", "scan", "linalg", "special", "more"]


def solve_family(name):
    """Lines of one family, each solved once per source text."""
    counts = {}
    lines, failures = [], []
    old = {}
    path = CACHE / f"{name}.json"
    if path.exists() and "--fresh" not in sys.argv:
        old = json.loads(path.read_text())
    new = {}
    for p in core.POINTS:
        k = counts.get(p["name"], 0)
        counts[p["name"]] = k + 1
        ident = f"{p['name']}-{k}" if name != "more" else f"{p['name']}-m{k}"
        key = hashlib.sha256((ident + SOURCES[name] + repr(sorted(p.items(), key=str))).encode()).hexdigest()
        if key in old:
            new[key] = old[key]
            lines.append(old[key])
            continue
        start = time.time()
        try:
            text = json.dumps(core.solve_point(p, ident), separators=(",", ":"))
        except Exception as error:                       # report all of them at the end
            failures.append(f"{ident} {p['expr']}: {type(error).__name__}: {str(error)[:300]}")
            if "--debug" in sys.argv:
                raise
            continue
        if time.time() - start > 3:
            print(f"slow: {ident} {p['expr']} {time.time() - start:.1f} s", file=sys.stderr)
        new[key] = text
        lines.append(text)
    CACHE.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(new))
    return lines, failures


SOURCES = {}


def main():
    wanted = [a for a in sys.argv[1:] if not a.startswith("-")]
    all_lines, failures = [], []
    modules = []
    for name in FAMILIES:
        if (HERE / f"g_{name}.py").exists():
            module = importlib.import_module(f"g_{name}")
            SOURCES[name] = (HERE / "core.py").read_text() + (HERE / f"g_{name}.py").read_text()
            modules.append((name, module))
    for name, module in modules:
        core.POINTS.clear()
        module.points()
        if wanted and name not in wanted:
            path = CACHE / f"{name}.json"
            lines, bad = (list(json.loads(path.read_text()).values()) if path.exists() else []), []
        else:
            start = time.time()
            lines, bad = solve_family(name)
            print(f"{name}: {len(lines)} points, {len(bad)} failures, {time.time() - start:.0f} s", file=sys.stderr)
        all_lines += lines
        failures += bad
    (HERE / "goldens.jsonl").write_text("".join(line + "\n" for line in all_lines))
    functions = {json.loads(line)["request"]["id"].rsplit("-", 1)[0] for line in all_lines}
    print(f"{len(all_lines)} points, {len(functions)} functions, {sum(map(len, all_lines)) / 1e6:.2f} MB", file=sys.stderr)
    for f in failures:
        print("FAILED", f)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    sys.exit(main())
