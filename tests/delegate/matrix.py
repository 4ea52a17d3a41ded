#!/usr/bin/env python3
"""The parameter matrix of Mesa's test_teflon (convolution, depthwise convolution, addition), in
uint8 and int8, on the delegate: each operator at most one step from TFLite's reference kernels.

    matrix.py --delegate libferrite_delegate.so --ferrite ferrite --log results.jsonl

runs all of it, continuing where the log ends. The models come from the reference tools
(make_op_models.py in FERRITE_SHARED/tools), which also compute the reference results.
"""
import argparse
import collections
import importlib
import itertools
import json
import re
import sys
from pathlib import Path

import numpy as np

from harness import Setup, Skip, run, segments, stderr

SUM = 'add of convolutions'
# Steps that an operator may be off. Of the chain of two convolutions and an addition each may be.
TOLERANCE = 1
OPERATORS = {SUM: 3}
SEED = 4
SIZES, INPUTS, OUTPUTS, KERNELS = [3, 5, 8, 80, 112], [1, 32, 120, 128, 256], [1, 32, 120, 128, 160, 256], [1, 3, 5]


def combinations():
    """All of the matrix: dictionaries of parameters, kernels larger than the input left out."""
    for dtype, pad, stride in itertools.product(['uint8', 'int8'], ['SAME', 'VALID'], [1, 2]):
        common = dict(dtype=dtype, pad=pad, stride=stride, stride_w=stride, n=1, act='NONE', dilation=1,
                      wq='per-axis' if dtype == 'int8' else 'per-tensor')
        for c, k, h in itertools.product(INPUTS, KERNELS, SIZES):
            if k > h:
                continue
            for oc in OUTPUTS:
                yield 'conv2d', dict(common, oc=oc, c=c, kh=k, kw=k, h=h, w=h)
                yield SUM, dict(common, oc=oc, c=c, kh=k, kw=k, h=h, w=h)
            if k > 1:
                yield 'dwconv', dict(common, c=c, mult=1, kh=k, kw=k, h=h, w=h)
    # The additions by themselves: all shapes that those convolutions give.
    shapes = {(oc, outputs(h, k, stride, pad)) for oc, h, k, stride, pad in itertools.product(
        OUTPUTS, SIZES, KERNELS, [1, 2], ['SAME', 'VALID']) if k <= h}
    shapes |= set(itertools.product(INPUTS, SIZES))
    for dtype, (c, h) in itertools.product(['uint8', 'int8'], sorted(shapes)):
        yield 'add', dict(dtype=dtype, c=c, h=h, w=h, broadcast='none', act='NONE')


def outputs(size, kernel, stride, pad):
    return -(-(size - (kernel - 1 if pad == 'VALID' else 0)) // stride)


def macs(kind, p):
    taps = {'conv2d': lambda: p['c'] * p['oc'], SUM: lambda: 2 * p['c'] * p['oc'], 'dwconv': lambda: p['c'], 'add': lambda: 0}[kind]()
    return taps * p.get('kh', 1) ** 2 * (p['h'] // p.get('stride', 1)) ** 2


def sum_of_convolutions(maker):
    """How Mesa tests additions: of two convolutions, each of an input of its own."""
    def build(c, b):
        p = c.over
        branches = []
        for _ in range(2):
            x = b.input([1, p['h'], p['w'], p['c']], p['dtype'])
            branches.append(maker.conv(b, x, p['oc'], p['kh'], p['kw'], p['stride'], p['stride'], p['pad'], wq=p['wq']))
        return [maker.ew(b, 'ADD', *branches)]
    return build


def name(kind, p):
    return kind + ' ' + ' '.join(f'{k}={p[k]}' for k in sorted(p))


def sample(count, limit):
    """`count` combinations of at most `limit` multiply-accumulates, from each operator and type
    as many as it has a share in the matrix, but no fewer than ten."""
    groups = collections.defaultdict(list)
    for kind, p in combinations():
        if macs(kind, p) <= limit:
            groups[kind, p['dtype']].append((kind, p))
    total = sum(map(len, groups.values()))
    random = np.random.default_rng(SEED)
    for group in groups.values():
        share = min(len(group), max(10, count * len(group) // total))
        for index in sorted(random.permutation(len(group))[:share]):
            yield group[index]


def tools(setup):
    sys.path.insert(0, str(setup.shared() / 'tools'))
    try:
        maker = importlib.import_module('make_op_models')
    except ImportError as error:
        raise Skip(f'the reference tools cannot be used: {error}')
    maker.KINDS[SUM] = sum_of_convolutions(maker), 0
    return maker


def result(setup, maker, kind, p):
    """passed, failed or rejected, with the reason or the largest difference."""
    seed = [SEED, *name(kind, p).encode()]
    content, inputs, reference, _ = maker.make(kind, seed, p, strict=True)
    with stderr() as lines:
        interpreter = setup.interpreter(content, log='debug')
        interpreter.allocate_tensors()
        taken = segments(interpreter)
    if not taken:
        reasons = [re.sub(r'.*stays with TFLite: ', '', line) for line in lines if 'stays with' in line]
        return ('rejected', reasons[0]) if reasons else ('failed', 'not taken, and no reason given')
    try:
        outputs = run(interpreter, inputs)
    except RuntimeError as error:
        return 'failed', str(error)
    difference = max(int(np.abs(a.astype(int) - b.astype(int)).max()) for a, b in zip(outputs, reference, strict=True))
    tolerance = TOLERANCE * OPERATORS.get(kind, 1)
    return ('passed' if difference <= tolerance else 'failed'), difference


def summary(results):
    """`results`: (kind, dtype, outcome, detail) tuples."""
    counts = collections.Counter((kind, dtype, outcome) for kind, dtype, outcome, _ in results)
    lines = []
    for kind, dtype in sorted({(k, d) for k, d, _ in counts}):
        numbers = ', '.join(f'{counts[kind, dtype, o]} {o}' for o in ('passed', 'failed', 'rejected'))
        lines.append(f'{kind} {dtype}: {numbers}')
    reasons = collections.Counter(detail for _, _, outcome, detail in results if outcome == 'rejected')
    apart = collections.Counter((kind, detail) for kind, _, outcome, detail in results if outcome == 'passed' and detail)
    lines += [f'{kind}: {count} of them {steps} steps from the reference' for (kind, steps), count in sorted(apart.items())]
    lines += [f'rejected {count}: {reason}' for reason, count in reasons.most_common()]
    exact = sum(outcome == 'passed' and detail == 0 for _, _, outcome, detail in results)
    lines.append(f'{exact} of {len(results)} equal the reference exactly')
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--delegate', required=True, type=Path)
    parser.add_argument('--ferrite', required=True, type=Path)
    parser.add_argument('--log', required=True, type=Path)
    parser.add_argument('--limit', type=int, default=1 << 40, help='multiply-accumulates at most')
    parser.add_argument('--kind', help='only this one')
    setup = Setup(parser.parse_args())
    maker = tools(setup)
    done = {}
    if setup.args.log.exists():
        for line in setup.args.log.read_text().splitlines():
            entry = json.loads(line)
            done[entry['name']] = entry
    with open(setup.args.log, 'a') as log:
        # The small ones first: most of the matrix in little of the time.
        for kind, p in sorted(combinations(), key=lambda c: macs(*c)):
            if setup.args.kind not in (None, kind) or name(kind, p) in done or macs(kind, p) > setup.args.limit:
                continue
            outcome, detail = result(setup, maker, kind, p)
            entry = dict(name=name(kind, p), kind=kind, dtype=p['dtype'], outcome=outcome, detail=detail)
            done[entry['name']] = entry
            print(json.dumps(entry), file=log, flush=True)
            if outcome == 'failed':
                print(f'FAILED {entry["name"]}: {detail}', flush=True)
    entries = [(e['kind'], e['dtype'], e['outcome'], e['detail']) for e in done.values()]
    print('\n'.join(summary(entries)))
    return any(outcome == 'failed' for _, _, outcome, _ in entries)


if __name__ == '__main__':
    sys.exit(main())
