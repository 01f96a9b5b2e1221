#!/usr/bin/env python3
"""Writes the rows of elementwise.def for float32: in float where singlemath.h has all that value and derivatives call, else
as they are. Usage: make_singles.py OUTPUT elementwise.def singlemath.h"""
import pathlib
import re
import sys

WORDS = {'a': 'a', 'b': 'b', 'y': 'y', 'inf': 'INFINITY', 'nan': 'NAN', 'abs': 'fabsf'}


def arguments(text):
    """The arguments of a macro call that text begins with, and what they are."""
    parts, depth, quoted, part = [], 0, False, ''
    for i, c in enumerate(text):
        quoted ^= c == '"' and text[i - 1] != '\\'
        if not quoted:
            depth += (c == '(') - (c == ')')
            if (c == ',' and depth == 1) or depth == 0:
                parts.append(' '.join(part.split()))
                part = ''
                if not depth:
                    return parts
                continue
            if c == '(' and depth == 1:
                continue
        part += c


def in_float(text, forms):
    """The text with float names and fractions; None: a name has no form in float."""
    words = re.findall(r'\d+(?:\.\d+)?(?:e-?\d+)?|\w+|\W', text)
    for i, word in enumerate(words):
        if re.match(r'\d', word):
            words[i] += 'f' if re.search(r'[.e]', word) else ''
        elif re.match(r'\w', word):
            words[i] = WORDS.get(word) or ('single_' + word if word in forms else None)
    return None if None in words else ''.join(words)


def main():
    source = re.sub(r'/\*.*?\*/', '', pathlib.Path(sys.argv[2]).read_text(), flags=re.S)
    forms = set(re.findall(r'^(?:SINGLE float|#define) single_(\w+)\(', pathlib.Path(sys.argv[3]).read_text(), flags=re.M))
    lines = ['/* Written by make_singles.py. */', '#ifndef COMPARISON', '#define COMPARISON(name)', '#endif']
    for match in re.finditer(r'^(?:INT_)?(UNARY|BINARY|COMPARE)1?(?=\()', source, flags=re.M):
        row = arguments(source[match.end():])
        if match[1] == 'COMPARE':
            lines.append(f'COMPARISON({row[0]})')
            continue
        name, texts = row[0], row[1:3] if match[1] == 'UNARY' else row[2:5]
        single = [in_float(text, forms) for text in texts]
        kind = 'DOUBLE' if None in single else 'SINGLE'
        lines.append(f'{kind}_{match[1]}({name}, {", ".join(texts if None in single else single)})')
    pathlib.Path(sys.argv[1]).write_text('\n'.join(lines) + '\n')


main()
