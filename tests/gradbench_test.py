#!/usr/bin/env python3
"""Talks to the gradbench tool: gradbench_test.py GRADBENCH EXAMPLES.JSONL

A line of examples is {"module", "function", "input"} with "output", which must be met within "tolerance" (1e-9, relative
above 1), or with "error", a part of the text with which the message must be refused. Every example runs with the tool as
the ones before it left it, and once more multithreaded."""
import json, math, subprocess, sys

tool, examples = sys.argv[1], [json.loads(line) for line in open(sys.argv[2]) if line.strip()]


def talk(lines, *options):
  """Sends the lines, an object or text each, one after the other; returns the answers."""
  text = [line if isinstance(line, str) else json.dumps(line) for line in lines]
  run = subprocess.run([tool, *options], input=''.join(t + '\n' for t in text), capture_output=True, text=True)
  assert run.returncode == 0, (run.returncode, run.stderr)
  answers = [json.loads(line) for line in run.stdout.splitlines()]
  assert len(answers) == len(lines), (len(answers), len(lines))
  return answers


def difference(have, want, tolerance, path='output'):
  """Where the two differ, or None."""
  if isinstance(want, dict):
    if not isinstance(have, dict) or set(have) != set(want): return f'{path}: keys differ'
    pairs = [(have[k], want[k], f'{path}.{k}') for k in want]
  elif isinstance(want, list):
    if not isinstance(have, list) or len(have) != len(want): return f'{path}: lengths differ'
    pairs = [(h, w, f'{path}[{i}]') for i, (h, w) in enumerate(zip(have, want))]
  elif isinstance(want, (int, float)) and not isinstance(want, bool):
    good = isinstance(have, (int, float)) and math.isfinite(have) and abs(have - want) <= tolerance * max(1, abs(want))
    return None if good else f'{path}: {have!r}, not {want!r}'
  else:
    return None if have == want and type(have) is type(want) else f'{path}: {have!r}, not {want!r}'
  return next((d for d in (difference(h, w, tolerance, p) for h, w, p in pairs) if d), None)


def check_example(example, answer):
  about = (example['module'], example['function'], example.get('about'), answer)
  if 'error' in example:
    assert answer['success'] is False and example['error'] in answer['error'], about
    assert set(answer) == {'id', 'success', 'error'}, about
    return
  assert answer['success'] is True and set(answer) == {'id', 'success', 'output', 'timings'}, about
  wrong = difference(answer['output'], example['output'], example.get('tolerance', 1e-9))
  assert not wrong, (wrong, about)


def check_examples(*options):
  modules = list(dict.fromkeys(e['module'] for e in examples))
  ordered = [e for m in modules for e in examples if e['module'] == m]
  messages = [dict(id=i, kind='evaluate', module=e['module'], function=e['function'],
                   input={**e['input'], 'min_runs': 2, 'min_seconds': 0} if isinstance(e['input'], dict) else e['input'])
              for i, e in enumerate(ordered)]
  for i, (example, answer) in enumerate(zip(ordered, talk(messages, *options))):
    assert answer['id'] == i, answer
    check_example(example, answer)
  return modules


def check_protocol(modules):
  hello = dict(kind='evaluate', module='hello', function='square', input=3.0)
  lines = [dict(id=0, kind='start', eval='hello', config={'a': 1}), dict(id=1, kind='define', module='hello'),
           dict(hello, id=2), dict(id=3, kind='analysis', of=2, valid=True), dict(id=4, kind='sing'),
           dict(id=5, kind='define', module='nothing'),
           dict(id=6, kind='evaluate', module='hello', function='cube', input=1), dict(hello, id=7, input='x'),
           '{"id": 8, "kind": "evaluate", "module": "hello", "function": "square", "input": NaN}',
           '{"id": 9, "kind": "evaluate", "module": "hello", "function": "square", "input": 1e999}',
           'not JSON', '[1]', '{"id": 12}', dict(hello, id=13, input=1e300), dict(id=14, kind='evaluate'),
           '{"id": 15, "kind": "evaluate", "module": "hello"', dict(hello, id=123456789012)]
  a = talk(lines)
  assert a[0] == {'id': 0, 'tool': 'chainrule'} and a[1] == {'id': 1, 'success': True}, a
  assert a[2]['output'] == 9 and len(a[2]['timings']) == 1, a[2]
  assert a[3] == {'id': 3} and a[4] == {'id': 4}, a
  refused = {5: 'nothing', 6: 'cube', 7: 'not a number', 8: 'JSON', 9: 'JSON', 10: 'JSON', 11: 'object', 12: 'kind', 13: 'not finite',
             14: 'module', 15: 'JSON'}
  for i, part in refused.items():
    assert a[i]['success'] is False and part in a[i]['error'] and a[i]['id'] == (i if i not in (10, 11) else None), a[i]
  assert a[16]['id'] == 123456789012 and a[16]['output'] == 9, a[16]
  assert all(answer['success'] for answer in talk([dict(id=0, kind='define', module=m) for m in modules]))


def check_repetition():
  """As many runs as asked for, and for as long as asked for; each with its time."""
  def lse(runs, seconds): return dict(id=0, kind='evaluate', module='lse', function='primal',
                                      input={'x': [1, 2], 'min_runs': runs, 'min_seconds': seconds})
  one, seven, long, bad, none = talk([lse(1, 0), lse(7, 0), lse(3, 0.05), lse(0, 0), lse(1, -1)])
  assert len(one['timings']) == 1 and len(seven['timings']) == 7
  times = [t['nanoseconds'] for t in long['timings']]
  assert all(t['name'] == 'evaluate' and type(t['nanoseconds']) is int for t in long['timings'])
  assert sum(times) >= 5e7 > sum(times[:-1]) and len(times) >= 3, (sum(times), len(times))
  assert 'min_runs' in bad['error'] and 'min_seconds' in none['error'], (bad, none)


names = check_examples()
check_examples('--multithreaded')
check_protocol(names)
check_repetition()
print(f'{len(examples)} examples of {len(names)} modules')
