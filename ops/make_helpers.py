#!/usr/bin/env python3
"""Writes the C functions that rows and emitted code call as texts, read from the sources that define them: one source for the
library and for what it emits. Usage: make_helpers.py OUTPUT.c SOURCE..."""
import pathlib
import re
import sys

# Names of the library lose their prefix, except where the C library has the name.
TAKEN = {'lgamma': 'log_gamma'}


def renamed(text):
    return re.sub(r'\bcr__(\w+)', lambda m: TAKEN.get(m[1], m[1]), text)


def items(text):
    """Top-level pieces with the comment before them."""
    text = re.sub(r'#ifndef CR_\w+_H\n#define CR_\w+_H\n', '', text)
    piece, depth, comment = [], 0, False
    for line in text.split('\n'):
        if not piece and not line.strip():
            continue
        piece.append(line)
        code = re.sub(r'/\*.*?\*/|"[^"]*"', '', line)
        if '/*' in code:
            comment = True
        if '*/' in code:
            comment, code = False, code.split('*/')[1]
        if comment:
            continue
        if not line.startswith('#'):
            depth += code.count('{') - code.count('}')
        begun = [p for p in piece if p.strip() and not re.match(r'\s*(/\*|\*|[^#;{}]*\*/$)', p)]
        directive = any(p.startswith('#') for p in piece) and depth == 0
        if directive and line.endswith('\\'):
            continue
        if directive:
            yield '\n'.join(piece)
            piece = []
        elif depth == 0 and re.search(r'[;}]\s*$', code) and begun:
            yield '\n'.join(piece)
            piece = []
        elif depth == 0 and not line.strip():
            piece = []  # a comment about what follows in general


def name_of(code):
    macro = re.match(r'#define (\w+)', code)
    if macro:
        return macro[1]
    if re.match(r'(#|typedef|\w+ \w+\([^{]*\);)', code):
        return None
    enum = re.match(r'enum \{ (\w+)', code)
    struct = re.match(r'struct (\w+)', code)
    other = re.match(r'[\w\s*]*?\b(\w+)\s*(\(|\[|=)', code)
    match = enum or struct or other
    return match and match[1]


def main():
    found, alias = {}, {}
    for path in sys.argv[2:]:
        for piece in items(pathlib.Path(path).read_text()):
            code = re.sub(r'\A(\s*/\*.*?\*/\s*)*', '', piece, flags=re.S)
            name = name_of(code)
            generic = re.match(r'#define (\w+)\(.*?\) _Generic\(\(a\), int64_t: (\w+), default: (\w+)\)', code)
            plain = re.match(r'#define (\w+)\([^()]*\) (\w+)\([^()]*\)$', code)
            if generic:
                alias[generic[1]] = (renamed(generic[3]), renamed(generic[2]))
            elif plain and plain[2].startswith('cr__'):
                alias[plain[1]] = (renamed(plain[2]),) * 2
            elif name and not name.startswith('_') and not (path.endswith('rowmath.h') and code.startswith('#')):
                text = renamed(piece.strip('\n'))
                if re.match(r'(double|int|void) cr__', code):
                    at = text.index(renamed(code)[:12])
                    text = text[:at] + 'static ' + text[at:]
                if found.setdefault(renamed(name), text) != text:
                    sys.exit(f'{path}: {name} has two definitions')
    lines = ['/* Written by make_helpers.py. */', '#include "ops.h"', '', 'const cr_helper cr__helpers[] = {']
    for name, (real, integer) in alias.items():
        if real == integer == name:
            continue
        lines.append(f'  {{.name = "{name}", .real = "{real}", .integer = "{integer}"}},')
    for name, text in found.items():
        body = ''.join('\n    "' + t.replace('\\', '\\\\').replace('"', '\\"') + '\\n"' for t in text.split('\n'))
        lines.append(f'  {{.name = "{name}", .text ={body}}},')
    lines += ['  {.name = NULL}};', '']
    pathlib.Path(sys.argv[1]).write_text('\n'.join(lines))


main()
