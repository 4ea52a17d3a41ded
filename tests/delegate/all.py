#!/usr/bin/env python3
"""Runs the tests of this folder in every runtime, and counts."""
import argparse
import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import runtimes

HERE = Path(__file__).resolve().parent


def environment(state):
    """This one without what the user has told Ferrite, and without what selftests have proven here."""
    ours = {'DEVICE', 'CACHE_DIR', 'LOG', 'EVIDENCE', 'ON_ERROR', 'EXACT', 'DEBUG'}
    kept = {name: value for name, value in os.environ.items() if name.removeprefix('FERRITE_') not in ours
            or not name.startswith('FERRITE_')}
    return {**kept, 'FERRITE_STATE_DIR': state}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--delegate', required=True)
    parser.add_argument('--ferrite', required=True)
    parser.add_argument('--runtime', choices=[r.name for r in runtimes.ALL], help='only this one')
    args, rest = parser.parse_known_args()
    total = dict(passed=0, failed=0, skipped=0)
    obstacle = None
    state = tempfile.mkdtemp(prefix='ferrite-state-')
    atexit.register(shutil.rmtree, state, ignore_errors=True)
    for runtime in runtimes.ALL:
        if args.runtime not in (None, runtime.name):
            continue
        print(f'== {runtime.name}', flush=True)
        try:
            # What one cannot be installed for, no network or no module venv, the others cannot either.
            if obstacle and not runtime.installed():
                raise obstacle
            python = runtime.python()
        except runtimes.Unavailable as reason:
            obstacle = reason
            print(f'skipped: {reason}', flush=True)
            total['skipped'] += 1
            continue
        command = [python, HERE / 'run.py', '--delegate', args.delegate, '--ferrite', args.ferrite]
        if runtime is runtimes.ALL[0]:
            command.append('--first')
        run = subprocess.Popen([str(c) for c in command + rest], stdout=subprocess.PIPE, text=True,
                               env=environment(state))
        last = ''
        for line in run.stdout:
            last = line.strip()
            if not last.startswith('counts '):
                print(line, end='', flush=True)
        counts = dict(zip(total, map(int, last.split()[1:]))) if last.startswith('counts ') else {}
        if run.wait() not in (0, 1) or not counts:
            print(f'FAILED: {runtime.name} ended with status {run.returncode}', flush=True)
            counts = dict(counts, failed=counts.get('failed', 0) + 1)
        for what, count in counts.items():
            total[what] += count
    print(', '.join(f'{count} {what}' for what, count in total.items()))
    return 1 if total['failed'] or not total['passed'] + total['skipped'] else 0


if __name__ == '__main__':
    sys.exit(main())
