#!/usr/bin/env python3
"""Writes sites.h from the prototypes of engine.h and ops.h. Usage: make_sites.py SITES.H"""
import pathlib
import re
import sys

root = pathlib.Path(__file__).resolve().parent.parent
HEAD = '''/* Makes every constructor store the caller's file and line on the tape, which errors then name. Define CR_NO_SITES to do
 * without. Written by make_sites.py from the prototypes: a macro calls the function of its own name. */
#ifndef CR_SITES_H
#define CR_SITES_H

#include "ops.h"

/* A place is a constant of its own, so that storing it is one pointer; that takes a GNU extension. */
#if !defined(CR_NO_SITES) && defined(__GNUC__)

#define CR_HERE (__extension__({ static const cr_place cr_here_ = {__FILE__, __LINE__}; &cr_here_; }))

static inline cr_tape *cr_here_on(cr_tape *t, const cr_place *place) {
  if (t) *(const cr_place **)(void *)t = place;
  return t;
}
static inline cr_var cr_here(cr_var v, const cr_place *place) {
  cr_here_on(v.tape, place);
  return v;
}

'''
TAIL = '''
#endif
#endif
'''


def macros():
    for header in ('engine/engine.h', 'ops/ops.h'):
        text = re.sub(r'/\*.*?\*/', '', (root / header).read_text(), flags=re.S)
        for name, parameters in re.findall(r'CR_API cr_var (cr_\w+)\(([^()]*)\)\s*;', text):
            first, *rest = [p.strip() for p in parameters.split(',')]
            if '...' in parameters or name in ('cr_poison', 'cr_find', 'cr_name', 'cr_node_at', 'cr_operand', 'cr_adjoint_var'):
                continue
            if first.startswith('cr_var '):
                here = 'cr_here(x, CR_HERE)'
            elif first.startswith('cr_tape *'):
                here = 'cr_here_on(x, CR_HERE)'
            else:
                continue
            yield f'#define {name}(x{", ..." if rest else ""}) {name}({here}{", __VA_ARGS__" if rest else ""})\n'


pathlib.Path(sys.argv[1]).write_text(HEAD + ''.join(macros()) + TAIL)
