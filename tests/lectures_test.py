#!/usr/bin/env python3
"""Runs the table of what the lecture notes teach: each row's commands must succeed, and print what rows.tsv asks for.

lectures_test.py GRAPH_EXAMPLES BINDIR [ROW...]: in a copy of GRAPH_EXAMPLES/lessons, with BINDIR on the PATH."""
import collections
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROWS = 108
examples, bindir, only = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]).resolve(), set(map(int, sys.argv[3:]))
env = dict(os.environ, PATH=f'{bindir}:{os.environ["PATH"]}', NO_COLOR='1', LC_ALL='C.UTF-8')


def read_table():
    """{row: [command, ...]} from the Markdown table whose first column is a number."""
    text = (examples / 'lessons/README.md').read_text()
    rows = re.findall(r'^\| (\d+) \|.*\| (`.*`) \|$', text, flags=re.M)
    return {int(row): [c.replace('\\|', '|') for c in re.findall(r'`(.+?)`', cell)] for row, cell in rows}


def read_expectations():
    wanted = collections.defaultdict(list)
    for line in (examples / 'lessons/rows.tsv').read_text().splitlines():
        if line and not line.startswith('#'):
            row, pattern = line.split('\t', 1)
            wanted[int(row)].append(pattern)
    return wanted


def run(command, folder, known={}):
    if command not in known:
        done = subprocess.run(['sh', '-c', command], cwd=folder, env=env, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=300)
        known[command] = done.returncode, done.stdout + done.stderr
    return known[command]


def faults_of(row, commands, patterns, folder):
    output = ''
    for command in commands:
        status, text = run(command, folder)
        output += text
        if status:
            yield f'row {row}: exit status {status}: {command}\n{text[-1500:]}'
    for pattern in patterns:
        if not re.search(pattern, output, flags=re.M):
            yield f'row {row}: the output has no {pattern}'
    if not patterns:
        yield f'row {row}: rows.tsv does not say what must be seen'


table, wanted = read_table(), read_expectations()
faults = [f'the table has no row {row}' for row in range(1, ROWS + 1) if row not in table]
faults += [f'rows.tsv has a row {row}, the table has not' for row in wanted if row not in table]
with tempfile.TemporaryDirectory() as scratch:
    shutil.copytree(examples, pathlib.Path(scratch) / 'graph_examples')
    for row, commands in table.items():
        if not only or row in only:
            faults += faults_of(row, commands, wanted[row], pathlib.Path(scratch) / 'graph_examples/lessons')
print('\n'.join(faults))
print(f'{len(only) or len(table)} rows, {len(faults)} faults')
sys.exit(bool(faults))
