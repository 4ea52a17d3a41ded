"""A sample of the operator matrix (see matrix.py; --matrix full for all of it)."""
import matrix
from harness import expect, once

# Of a sampled combination: the simulator takes a fraction of a second for as many.
LIMIT = 100_000_000


@once
def test_operator_matrix(setup):
    maker = matrix.tools(setup)
    if setup.args.matrix == 'full':
        chosen = list(matrix.combinations())
    else:
        chosen = list(matrix.sample(int(setup.args.matrix), LIMIT))
    results, failed = [], []
    for kind, p in chosen:
        outcome, detail = matrix.result(setup, maker, kind, p)
        results.append((kind, p['dtype'], outcome, detail))
        if outcome == 'failed':
            failed.append(f'{matrix.name(kind, p)}: {detail}')
    lines = matrix.summary(results)
    print('\n'.join('  ' + line for line in lines))
    expect(not failed, '; '.join(failed))
    return f'{len(results)} combinations'
