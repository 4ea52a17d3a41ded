#!/usr/bin/env python3
"""Says what a picture shows: a TFLite classifier, with the NPU through Ferrite's delegate.

    classify.py -m mobilenet_v2_1.0_224_quant.tflite -i cat.jpg -l labels.txt
    classify.py -m model.tflite -i cat.jpg -o device:sim:rk3588        without hardware

The options are those of TFLite's label_image.py; -e '' runs on the CPU.
"""
import argparse
import sys
import time

import numpy as np
from PIL import Image

try:
    from ai_edge_litert import interpreter as tflite
except ImportError:
    import tflite_runtime.interpreter as tflite


def delegate_options(text):
    """`key1:value1;key2:value2`, as TFLite's tools take them; values may hold colons."""
    pairs = [pair.split(':', 1) for pair in text.split(';') if pair]
    if any(len(pair) != 2 for pair in pairs):
        raise argparse.ArgumentTypeError(f'{text!r} is not of the form key:value;key:value')
    return dict(pairs)


def make_interpreter(args):
    delegates = []
    if args.ext_delegate:
        delegates.append(tflite.load_delegate(args.ext_delegate, args.ext_delegate_options))
    # The first delegate chooses first: what it leaves is run by TFLite's own kernels.
    interpreter = tflite.Interpreter(model_path=args.model_file, experimental_delegates=delegates,
                                     num_threads=args.num_threads)
    interpreter.allocate_tensors()
    return interpreter


def load_input(path, detail, mean, std):
    _, height, width, channels = detail['shape']
    mode = {1: 'L', 3: 'RGB'}.get(int(channels))
    if mode is None:
        sys.exit(f'the model wants {channels} channels; pictures have 1 or 3')
    picture = Image.open(path).convert(mode).resize((width, height), Image.BILINEAR)
    pixels = np.asarray(picture).reshape(detail['shape'])
    if detail['dtype'] == np.uint8:
        return pixels
    if detail['dtype'] == np.int8:
        return (pixels.astype(np.int16) - 128).astype(np.int8)
    return (np.float32(pixels) - mean) / std


def probabilities(interpreter):
    detail = interpreter.get_output_details()[0]
    values = np.squeeze(interpreter.get_tensor(detail['index']))
    scale, zero_point = detail['quantization']
    return (values.astype(np.float32) - zero_point) * scale if scale else values


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('-i', '--image', required=True, help='the picture')
    parser.add_argument('-m', '--model_file', required=True, help='the .tflite model')
    parser.add_argument('-l', '--label_file', help='one label in each line')
    parser.add_argument('--input_mean', type=float, default=127.5, help='of float models')
    parser.add_argument('--input_std', type=float, default=127.5, help='of float models')
    parser.add_argument('--num_threads', type=int, help='threads of the CPU kernels')
    parser.add_argument('-e', '--ext_delegate', default='libferrite_delegate.so',
                        help='library of the delegate, empty for none')
    parser.add_argument('-o', '--ext_delegate_options', type=delegate_options, default={},
                        metavar='key:value;...', help='options of the delegate')
    return parser.parse_args()


def main():
    args = arguments()
    interpreter = make_interpreter(args)
    detail = interpreter.get_input_details()[0]
    interpreter.set_tensor(detail['index'], load_input(args.image, detail, args.input_mean, args.input_std))
    start = time.perf_counter()
    interpreter.invoke()
    took = time.perf_counter() - start

    results = probabilities(interpreter)
    labels = None
    if args.label_file:
        with open(args.label_file, encoding='utf-8') as file:
            labels = [line.strip() for line in file]
    for index in np.argsort(-results, kind='stable')[:5]:
        name = labels[index] if labels and index < len(labels) else f'class {index}'
        print(f'{results[index]:.6f}: {name}')
    print(f'time: {1e3 * took:.1f} ms')


if __name__ == '__main__':
    main()
