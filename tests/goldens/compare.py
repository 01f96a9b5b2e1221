#!/usr/bin/env python3
"""Run a batch command over goldens.jsonl and extra.jsonl and compare: compare.py [--only NAME]... [--limit N] [--captured | --compiled]
COMMAND...

Example: tests/goldens/compare.py build/chainrule batch
An entry passes when |got - expected| <= rtol*|expected| + atol; nan meets nan, an infinity its own sign; integers and
bools exactly; shapes and dtypes exactly. With --captured each is also to be computed by a captured function, with the
same bits; with --compiled by that function compiled, too (in float64 with the same bits). Exit status 1 if anything fails."""
import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path

FILES = ("goldens.jsonl", "extra.jsonl")
FLOOR = 2e-322                         # a few steps of the subnormal grid


def number(v):
    return float(v) if isinstance(v, str) else v


def check_tensor(got, want, rtol, atol):
    """The list of complaints (index, got, expected, relative error) about one tensor."""
    if not isinstance(got, dict):
        return [("-", got, want, math.inf)]
    for key in ("dtype", "shape"):
        if got.get(key) != want[key]:
            return [(key, got.get(key), want[key], math.inf)]
    bad = []
    if len(got["data"]) != len(want["data"]):
        return [("length", len(got["data"]), len(want["data"]), math.inf)]
    for i, (g, w) in enumerate(zip(got["data"], want["data"])):
        if want["dtype"] in ("bool", "int64"):
            if g != w:
                bad.append((i, g, w, math.inf))
            continue
        if g is None:
            bad.append((i, g, w, math.inf))
            continue
        g, w = float(number(g)), float(number(w))
        if math.isnan(w) or math.isinf(w):
            ok, error = (math.isnan(g) if math.isnan(w) else g == w), math.inf
        elif math.isnan(g) or math.isinf(g):
            ok, error = False, math.inf
        else:
            difference = abs(g - w)
            ok = difference <= rtol * abs(w) + atol + FLOOR
            error = difference / abs(w) if w else difference
        if not ok:
            bad.append((i, g, w, error))
    return bad


def check(answer, line):
    """Complaints about one answer: (field, index, got, expected, error)."""
    if "error" in answer:
        return [("error", "-", json.dumps(answer["error"])[:200], "an answer", math.inf)]
    bad = []
    for field, want in line["expect"].items():
        atol = line["atol"].get(field, 0) if isinstance(line["atol"], dict) else line["atol"]
        got = answer.get(field)
        if got is None:
            bad.append((field, "-", "missing", "present", math.inf))
        elif isinstance(want, list):
            if len(got) != len(want):
                bad.append((field, "outputs", len(got), len(want), math.inf))
                continue
            for k, (g, w) in enumerate(zip(got, want)):
                if w is not None:                                # null: an integer output, its jvp is free
                    bad += [(f"{field}[{k}]",) + b for b in check_tensor(g, w, line["rtol"], atol)]
        else:
            for name, w in want.items():
                bad += [(f"{field}.{name}",) + b for b in check_tensor(got.get(name), w, line["rtol"], atol)]
    return bad


def main(argv):
    only, limit, captured = [], 8, False
    while argv and argv[0].startswith("--"):
        flag = argv.pop(0)
        if flag == "--only":
            only.append(argv.pop(0))
        elif flag == "--limit":
            limit = int(argv.pop(0))
        elif flag in ("--captured", "--compiled"):
            captured = "compiled" if flag == "--compiled" else True
    if not argv:
        print(__doc__)
        return 2
    here = Path(__file__).resolve().parent
    lines = [json.loads(text) for name in FILES for text in (here / name).read_text().splitlines()]
    function = lambda line: line["request"]["id"].rsplit("-", 1)[0]
    if only:
        lines = [line for line in lines if function(line) in only]
    feed = "".join(json.dumps(line["request"] | {"captured": captured}) + "\n" for line in lines)
    with tempfile.TemporaryDirectory() as cache:
        run = subprocess.run(argv, input=feed, capture_output=True, text=True, env=os.environ | {"XDG_CACHE_HOME": cache})
    answers = {}
    for text in run.stdout.splitlines():
        try:
            answer = json.loads(text)
            answers[answer.get("id")] = answer
        except json.JSONDecodeError:
            print("not JSON:", text[:200])
    failures = {}
    for line in lines:
        answer = answers.get(line["request"]["id"])
        bad = check(answer, line) if answer else [("answer", "-", "none", "a line", math.inf)]
        if bad:
            failures.setdefault(function(line), []).append((line, bad))
    for name in sorted(failures):
        print(f"{name}: {len(failures[name])} requests fail")
        for line, bad in failures[name][:limit]:
            print(f"  {line['request']['id']}  {line['request']['expr']}")
            for field, index, got, want, error in bad[:4]:
                print(f"    {field}[{index}] got {got!r} expected {want!r} relative error {error:.2e}")
            if len(bad) > 4:
                print(f"    ... {len(bad) - 4} more")
    notes = [answer["note"] for answer in answers.values() if "note" in answer]
    made = sum(note.startswith("compiled ") or "from the cache" in note for note in notes)
    refused = [note for note in notes if note.startswith("not ") and "no step" not in note]
    if captured == "compiled":
        print(f"{made} compiled, {len(refused)} not, {len(notes) - made - len(refused)} without a step to compile")
        for note in sorted(set(refused))[:limit]:
            print(f"  {note}")
    count = sum(map(len, failures.values()))
    total = len({function(line) for line in lines})
    print(f"{len(lines) - count} of {len(lines)} requests pass; {total - len(failures)} of {total} functions whole")
    if run.returncode or run.stderr:
        print(f"command ended with status {run.returncode}", run.stderr[-500:])
    short = captured == "compiled" and (refused or made < len(lines) / 2 and not only)
    return 1 if failures or short or not lines else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
