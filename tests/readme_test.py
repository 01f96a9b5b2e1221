#!/usr/bin/env python3
"""Runs the README's transcripts: every `$ command` in a console block must print what stands below it, where ... is any text.

readme_test.py README BINDIR: in a folder in which graph_examples is the one beside README, with BINDIR on the PATH."""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

readme, bindir = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]).resolve()
env = dict(os.environ, PATH=f'{bindir}:{os.environ["PATH"]}', NO_COLOR='1', LC_ALL='C.UTF-8')
failed = ran = 0
with tempfile.TemporaryDirectory() as folder:
    os.symlink(readme.resolve().parent / 'graph_examples', pathlib.Path(folder) / 'graph_examples')
    for block in re.findall(r'```console\n(.*?)```', readme.read_text(), flags=re.S):
        for command, want in re.findall(r'^\$ (.*?)\n(.*?)(?=^\$ |\Z)', block, flags=re.S | re.M):
            run = subprocess.run(command, shell=True, cwd=folder, env=env, capture_output=True, text=True, timeout=60)
            ran += 1
            if not re.fullmatch(re.escape(want).replace(r'\.\.\.', '.*'), run.stdout + run.stderr):
                failed += 1
                print(f'$ {command}\n--- the README says\n{want}--- it prints\n{run.stdout}{run.stderr}')
print(f'{ran} commands of the README, {failed} differ')
sys.exit(failed > 0 or ran == 0)
