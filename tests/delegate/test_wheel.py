"""The Python package ferrite-npu, as pip installs it, with the runtime of this environment."""
import re
import subprocess
import sys

import numpy as np

from harness import HERE, expect

ROOT = HERE.parents[1]


def run(*command, **more):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **more)
    expect(done.returncode == 0, f'{command}: {done.stderr}')
    return done.stdout.strip()


def test_wheel(setup):
    """The script of the package's README gives the answer that its command gives."""
    built = setup.args.delegate.resolve().parent
    wheel = run(sys.executable, ROOT / 'packaging/wheel', '--built', built, '--out', setup.folder)
    place = setup.folder / 'installed'
    run(sys.executable, '-m', 'pip', 'install', '--quiet', '--no-index', '--no-deps', '--target', place, wheel)

    script = re.search('```python\n(.*?)```', (ROOT / 'packaging/python/README.md').read_text(), re.S)[1]
    expect(len(script.strip().splitlines()) <= 12, 'the script has grown')
    script = script.replace("'model.tflite'", repr(str(setup.digits())))
    script = script.replace('ai_edge_litert.interpreter', runtime())
    script = script.replace('print(interpreter', 'np.save("answer.npy", interpreter')
    run(sys.executable, '-c', script, cwd=setup.folder, env={'PYTHONPATH': str(place)})

    np.save(setup.folder / 'zeros.npy', np.zeros((1, 16, 16, 1), np.int8))
    run(place / 'bin/ferrite', 'run', setup.digits(), '--device', 'sim:rk3588',
        '--input', setup.folder / 'zeros.npy', '--output', setup.folder / 'out')
    expected = np.load(setup.folder / 'out/output0.npy')
    expect(np.array_equal(np.load(setup.folder / 'answer.npy'), expected), 'the answers differ')


def runtime():
    """The module that has this environment's interpreter."""
    names = ('ai_edge_litert.interpreter', 'tflite_runtime.interpreter')
    return next(name for name in names if name in sys.modules)
