"""Hostile models: whatever plain TFLite makes of one, the delegate crashes on none, hangs on none, and
fails none that runs without it."""
import os
import pickle
import select
import signal
import subprocess

import numpy as np

from harness import expect, once, segments, Skip

PATIENCE = 60
# TFLite's own kernels take minutes for some shapes.
MOST_BYTES = 1 << 22


def forked(body):
    """What `body` returns in a child of its own, or how that child ended."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, 2)
        try:
            result = body()
        except Exception as error:
            result = f'{type(error).__name__}: {error}'
        with os.fdopen(writing, 'wb') as pipe:
            pickle.dump(result, pipe)
        os._exit(0)
    os.close(writing)
    chunks = []
    while True:
        if not select.select([reading], [], [], PATIENCE)[0]:
            os.kill(child, signal.SIGKILL)
            break
        chunk = os.read(reading, 1 << 20)
        if not chunk:
            break
        chunks.append(chunk)
    os.close(reading)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return pickle.loads(b''.join(chunks)) if code == 0 else f'ended with {code}'


def outputs(setup, model, **options):
    """(outputs, delegated partitions, operators), or why there are none."""
    def body():
        interpreter = setup.interpreter(model, **options)
        details = interpreter.get_tensor_details()
        if sum(int(np.prod(d['shape'], dtype=np.int64)) for d in details) > MOST_BYTES:
            return 'too large'
        count = len(interpreter._get_ops_details())
        interpreter.allocate_tensors()
        random = np.random.default_rng(7)
        for detail in interpreter.get_input_details():
            data = random.integers(0, 256, int(np.prod(detail['shape'])) * np.dtype(detail['dtype']).itemsize)
            data = np.frombuffer(data.astype(np.uint8).tobytes(), detail['dtype'])
            interpreter.set_tensor(detail['index'], data.reshape(detail['shape']))
        interpreter.invoke()
        found = [interpreter.get_tensor(d['index']).copy() for d in interpreter.get_output_details()]
        return found, segments(interpreter), count
    return forked(body)


@once
def test_hostile_models(setup):
    count = setup.args.hostile
    if not count:
        # TFLite's own check of files refuses what the generator writes, so nothing is compared yet.
        raise Skip('not asked for: --hostile COUNT')
    folder = setup.folder / 'hostile'
    folder.mkdir()
    subprocess.run([setup.args.maker, 'make', '0', str(count), folder], check=True)
    ran = delegated = 0
    wrong = []
    for seed in range(count):
        model = (folder / f'{seed}.tflite').read_bytes()
        plain = outputs(setup, model, delegate=False)
        for device in ('sim:rk3588', 'sim:a311d'):
            ours = outputs(setup, model, device=device, evidence='inferred')
            if isinstance(ours, str) and ours.startswith('ended') and not str(plain).startswith('ended'):
                wrong.append(f'{seed} on {device}: {ours}')
            if isinstance(plain, str):
                continue
            ran += 1
            if isinstance(ours, str):
                wrong.append(f'{seed} on {device}: {ours}')
                continue
            delegated += ours[1] > 0
            # In networks the steps of operators add up.
            if plain[2] == 1:
                for a, b in zip(plain[0], ours[0], strict=True):
                    if a.dtype in (np.int8, np.uint8) and a.size:
                        steps = np.abs(a.astype(int) - b.astype(int)).max()
                        if steps > 1:
                            wrong.append(f'{seed} on {device}: {steps} steps off')
    expect(not wrong, '; '.join(wrong))
    expect(delegated > ran // 5, f'only {delegated} of {ran} runs were delegated')
    return f'{count} models, {ran} runs, {delegated} of them delegated'
