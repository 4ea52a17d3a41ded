"""What the tests share: the runtime, the delegate, the reference files."""
import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

try:
    from ai_edge_litert import interpreter as tfl
except ImportError:
    from tflite_runtime import interpreter as tfl

REFERENCE = tfl.OpResolverType.BUILTIN_REF
HERE = Path(__file__).resolve().parent


class Skip(Exception):
    """A test that cannot be run here, and why."""


def once(test):
    """A test whose outcome does not depend on the runtime."""
    test.once = True
    return test


def expect(condition, message):
    if not condition:
        raise AssertionError(message)


class Setup:
    def __init__(self, args):
        self.args = args
        self.temporary = tempfile.TemporaryDirectory(prefix='ferrite-delegate-')
        self.folder = Path(self.temporary.name)

    # --- the reference files

    def shared(self):
        folder = Path(os.environ.get('FERRITE_SHARED') or HERE.parents[2] / 'shared')
        if not folder.is_dir():
            raise Skip(f'no reference files at {folder} (set FERRITE_SHARED)')
        return folder

    def models(self):
        """(file, input arrays, case name) of the public models."""
        models = self.shared() / 'models'
        manifest = json.loads((models / 'manifest.json').read_text())
        for model in manifest['models']:
            cases = model['cases'] if self.args.all_cases else model['cases'][:1]
            for case in cases:
                inputs = [models / i['file'] for i in case['inputs']]
                yield models / model['file'], inputs, case['id']

    def model(self, name):
        path = self.shared() / 'models' / name
        if not path.exists():
            raise Skip(f'{path} does not exist')
        return path

    def small(self):
        """A convolution of a few thousand operations that goes to the NPU."""
        return self.digits()

    def digits(self):
        return HERE.parents[1] / 'examples/digits/digits.tflite'

    # --- the runtime

    def delegate(self, **options):
        options = {'device': 'sim:rk3588', **options}
        return tfl.load_delegate(str(self.args.delegate), options)

    def interpreter(self, model, delegate=True, **options):
        """An interpreter; reference kernels, so that nothing but the delegate takes operators."""
        source = dict(model_content=model) if isinstance(model, bytes) else dict(model_path=str(model))
        if delegate is True:
            delegate = self.delegate(**options)
        delegates = [delegate] if delegate else []
        return tfl.Interpreter(**source, experimental_delegates=delegates,
                               experimental_op_resolver_type=REFERENCE, num_threads=1)

    def ferrite_run(self, model, inputs, device='sim:rk3588'):
        """The outputs of `ferrite run`."""
        stat = self.args.ferrite.stat()
        names = ' '.join(str(p) for p in [self.args.ferrite, stat.st_mtime_ns, device, model, *inputs])
        kept = Path(tempfile.gettempdir()) / f'ferrite-run-{os.getuid()}'
        folder = kept / hashlib.sha256(names.encode()).hexdigest()
        if not folder.exists():
            kept.mkdir(mode=0o700, exist_ok=True)
            part = Path(tempfile.mkdtemp(dir=kept))
            command = [self.args.ferrite, 'run', model, '--device', device, '--json', '--output', part]
            for path in inputs:
                command += ['--input', path]
            run = subprocess.run([str(c) for c in command], capture_output=True, text=True)
            expect(run.returncode == 0, f'ferrite run: {run.stderr}')
            report = json.loads(run.stdout)
            report['files'] = [Path(f).name for f in report['files']]
            (part / 'report.json').write_text(json.dumps(report))
            part.rename(folder)
        report = json.loads((folder / 'report.json').read_text())
        return [np.load(folder / f) for f in report['files']], report


def run(interpreter, inputs):
    for detail, value in zip(interpreter.get_input_details(), inputs):
        interpreter.set_tensor(detail['index'], value)
    interpreter.invoke()
    return [interpreter.get_tensor(d['index']).copy() for d in interpreter.get_output_details()]


def noise(interpreter, seed=1):
    random = np.random.default_rng(seed)
    for detail in interpreter.get_input_details():
        info = np.iinfo(detail['dtype'])
        yield random.integers(info.min, info.max + 1, detail['shape'], detail['dtype'])


def segments(interpreter):
    """Nodes of the delegate in the execution plan."""
    return sum(op['op_name'] == 'DELEGATE' for op in interpreter._get_ops_details())


@contextlib.contextmanager
def stderr():
    """Collects what the process writes to standard error, also from libraries."""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as file:
        saved = os.dup(2)
        os.dup2(file.fileno(), 2)
        lines = []
        try:
            yield lines
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            file.seek(0)
            lines += file.read().decode().splitlines()


def delegated_macs(lines):
    """(delegated, all) multiply-accumulates as the delegate logged them."""
    for line in lines:
        found = re.search(r'and (\d+) of (\d+) multiply-accumulates go to', line)
        if found:
            return int(found[1]), int(found[2])
    raise AssertionError(f'no word about multiply-accumulates in {lines}')


def resident_bytes():
    pages = int(Path('/proc/self/statm').read_text().split()[1])
    return pages * os.sysconf('SC_PAGE_SIZE')
