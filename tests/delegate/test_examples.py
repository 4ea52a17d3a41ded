"""The example programs, as a user would start them."""
import subprocess
import sys

from harness import HERE, Skip, expect

EXAMPLES = HERE.parents[1] / 'examples'


def start(setup, name, *arguments):
    command = [sys.executable, EXAMPLES / name, '-e', setup.args.delegate.resolve(), '-o', 'device:sim:rk3588', *arguments]
    run = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    expect(run.returncode == 0, f'{name}: {run.stderr}')
    return run.stdout.splitlines()


def test_classify(setup):
    models = setup.shared() / 'models'
    lines = start(setup, 'classify.py', '-m', setup.model('mobilenet_v2_1.0_224_quant.tflite'),
                  '-i', models / 'images/grace_hopper.bmp', '-l', models / 'labels/imagenet_labels.txt')
    expect(lines[0].endswith('military uniform'), lines[0])


def test_detect(setup):
    try:
        import numpy as np
        from PIL import Image
    except ImportError as error:
        raise Skip(str(error))
    frame = setup.folder / 'frame.png'
    pixels = np.load(setup.shared() / 'models/inputs/0001_256x256x3_uint8.npy')
    Image.fromarray(pixels[0]).save(frame)
    painted = setup.folder / 'painted.png'
    model = setup.model('traffic_model.tflite')
    found = start(setup, 'detect.py', '-m', model, '-i', frame, '--output', painted)
    expect(painted.exists(), 'no picture was written')
    # The same objects as without the delegate; scores and edges may move by a step.
    plain = start(setup, 'detect.py', '-m', model, '-i', frame, '-e', '')
    names = [[line.split(' at ')[0].split(': ')[1] for line in lines[:-1]] for lines in (found, plain)]
    expect(len(names[0]) > 0 and names[0][0] == names[1][0], f'{found} and {plain}')
    return found[0]
