#!/usr/bin/env python3
"""Kills chainrule train at random moments and lets it go on: resume_test.py CHAINRULE DATA-FOLDER [KILLS]

No step before the last checkpoint is lost, and however often it was killed, the run hash is that of a training that nobody
disturbed. An interrupt (Ctrl-C) ends training in order."""
import json, os, random, signal, struct, subprocess, sys, tempfile, time

chainrule, data, kills = sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 50
recipe = f"""data csv('{data}/optdigits.tes', target=-1, classes=True, scale=16)
net
  h = drop(relu(batch_normalize(dense(x, 24))), 0.2)
  dense(h, 10)
loss cross_entropy
penalty l2(1e-5)
optimizer adam(lr=0.01)
schedule plateau(factor=0.5, patience=1)
augment noise(0.1), mixup(0.2)
train epochs=16, batch=32, seed=3, validation=0.2, checkpoint_every=7, clip_norm=1
"""


def step_of(path):
  """The step that a checkpoint is of; -1 without one."""
  if not os.path.exists(path): return -1
  with open(path, 'rb') as f:
    header = json.loads(f.read(struct.unpack('<Q', f.read(8))[0]))
  return json.loads(header['__metadata__']['position'])['step']


def start(folder, *more):
  command = [chainrule, 'train', folder + '/r.chain', '--checkpoint', folder + '/c', '--resume', '--json', *more]
  return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(run):
  out, complaint = run.communicate()
  assert run.returncode == 0, (run.returncode, complaint)
  return json.loads(out)


def remove(path):
  for name in (path, path + '.previous'):
    if os.path.exists(name): os.remove(name)


with tempfile.TemporaryDirectory() as folder:
  with open(folder + '/r.chain', 'w') as f: f.write(recipe)
  checkpoint = folder + '/c'
  began = time.monotonic()
  whole = finish(start(folder))
  duration = time.monotonic() - began
  remove(checkpoint)

  random.seed(1)
  killed = completed = 0
  while killed < kills or not completed:
    before = step_of(checkpoint)
    run = start(folder)
    time.sleep(random.random() * duration * (0.6 if killed < kills else 0))
    if killed < kills and run.poll() is None:
      run.send_signal(signal.SIGKILL)
      run.communicate()
      killed += 1
      after = step_of(checkpoint)
      assert after >= before, f'step {before} was reached, and {after} is left'
      assert after < 0 or after % 7 == 0 or after == whole['steps'], f'a checkpoint of step {after}'
    else:
      answer = finish(run)
      assert answer['hash'] == whole['hash'], f"hash {answer['hash']} after {killed} kills, {whole['hash']} without"
      assert [e['train_loss'] for e in answer['history']] == [e['train_loss'] for e in whole['history']]
      completed += 1
      remove(checkpoint)

  run = start(folder)
  time.sleep(duration / 3)
  run.send_signal(signal.SIGINT)
  interrupted = finish(run)
  assert interrupted['reason'] in ('interrupted', 'epochs'), interrupted['reason']
  assert step_of(checkpoint) == interrupted['steps']
  assert finish(start(folder))['hash'] == whole['hash']
  print(f'{killed} kills, {completed} completed trainings, hash {whole["hash"]}')
