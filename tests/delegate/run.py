#!/usr/bin/env python3
"""Runs the tests of this folder in the runtime that this interpreter has.

A test is a function `test_*` of a module `test_*.py`. It gets a Setup, and fails by raising.
"""
import argparse
import importlib
import sys
import time
import traceback
from pathlib import Path

from harness import Setup, Skip

HERE = Path(__file__).resolve().parent


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--delegate', required=True, type=Path)
    parser.add_argument('--ferrite', required=True, type=Path)
    parser.add_argument('--only', default='', help='tests whose name contains this')
    parser.add_argument('--all-cases', action='store_true', help='all inputs of each model')
    parser.add_argument('--matrix', default='240', help='combinations of the operator matrix, or full')
    parser.add_argument('--maker', type=Path, help='the program that makes hostile models')
    parser.add_argument('--hostile', type=int, default=0, help='hostile models to try; 0 = none')
    parser.add_argument('--first', action='store_true', help='also what no runtime changes')
    setup = Setup(parser.parse_args())
    counts = dict(passed=0, failed=0, skipped=0)
    for path in sorted(HERE.glob('test_*.py')):
        module = importlib.import_module(path.stem)
        for name, test in vars(module).items():
            if not name.startswith('test_') or setup.args.only not in f'{path.stem}.{name}':
                continue
            if getattr(test, 'once', False) and not setup.args.first:
                continue
            start = time.monotonic()
            try:
                note = test(setup)
                result, what = 'ok', 'passed'
            except Skip as reason:
                result, what, note = 'skipped', 'skipped', str(reason)
            except Exception as error:
                traceback.print_exc(limit=-2)
                result, what, note = 'FAILED', 'failed', f'{type(error).__name__}: {error}'
            counts[what] += 1
            note = f': {note}' if note else ''
            print(f'{result} {name} ({time.monotonic() - start:.1f} s){note}', flush=True)
    print('counts', *counts.values(), flush=True)
    return 1 if counts['failed'] else 0


if __name__ == '__main__':
    sys.exit(main())
