"""Virtual environments with releases of the TFLite runtime, in the user's cache folder."""
import fcntl
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path


class Unavailable(Exception):
    """Why a runtime cannot be had."""


def cache():
    return Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache') / 'ferrite'


@dataclass(frozen=True)
class Runtime:
    name: str
    packages: tuple

    @property
    def folder(self):
        return cache() / 'runtimes' / self.name

    def installed(self):
        return (self.folder / 'complete').exists()

    def python(self):
        """The interpreter that has this runtime, installed if need be."""
        folder = self.folder
        python, complete = folder / 'bin/python', folder / 'complete'
        folder.parent.mkdir(parents=True, exist_ok=True)
        with open(folder.parent / f'{self.name}.lock', 'w') as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not complete.exists():
                base = shutil.which('python3.11') or shutil.which('python3')
                shutil.rmtree(folder, ignore_errors=True)
                self.step([base, '-m', 'venv', folder])
                # Without a network, waiting and trying again is of no use.
                self.step([python, '-m', 'pip', 'install', '--quiet', '--retries', '1', *self.packages])
                complete.touch()
        return python

    def step(self, command):
        run = subprocess.run([str(c) for c in command], capture_output=True, text=True)
        if run.returncode:
            words = (run.stderr or run.stdout).strip().splitlines() or ['no reason given']
            raise Unavailable(f'{self.name} cannot be installed: {words[-1]}')


# The first one also runs what does not depend on the runtime.
ALL = (
    Runtime('ai-edge-litert-2.3.0', ('ai-edge-litert==2.3.0', 'numpy', 'pillow', 'flatbuffers')),
    Runtime('ai-edge-litert-2.1.6', ('ai-edge-litert==2.1.6', 'numpy', 'pillow')),
    Runtime('ai-edge-litert-1.4.0', ('ai-edge-litert==1.4.0', 'numpy', 'pillow')),
    Runtime('tflite-runtime-2.14.0', ('tflite-runtime==2.14.0', 'numpy<2', 'pillow')),
)
