#!/usr/bin/env python3
"""Finds objects in a picture: an SSD detector, with the NPU through Ferrite's delegate.

    detect.py -m ssd_mobilenet_v2_coco_quant_postprocess.tflite -i street.jpg -l coco.txt
    detect.py -m model.tflite -i street.jpg -o device:sim:rk3588 --output found.png

Takes models that end in TFLite_Detection_PostProcess, which TFLite runs on the CPU: boxes
[1, n, 4] (top, left, bottom, right as fractions), classes, scores [1, n], and their number.
"""
import argparse
import sys
import time

import numpy as np
from PIL import Image, ImageDraw

from classify import delegate_options, load_input, make_interpreter


def outputs(interpreter):
    """Boxes, classes, scores and their number, whichever further outputs the model has."""
    values = []
    for detail in interpreter.get_output_details():
        if detail['dtype'] == np.float32:
            values.append(interpreter.get_tensor(detail['index']))
    if len(values) < 4 or values[0].ndim != 3 or values[0].shape[2] != 4:
        sys.exit('the model does not end in TFLite_Detection_PostProcess')
    count = int(values[3].reshape(-1)[0])
    return values[0][0, :count], values[1][0, :count], values[2][0, :count]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('-i', '--image', required=True, help='the picture')
    parser.add_argument('-m', '--model_file', required=True, help='the .tflite model')
    parser.add_argument('-l', '--label_file', help='labels: one in each line, or "number label"')
    parser.add_argument('-t', '--threshold', type=float, default=0.4, help='lowest score')
    parser.add_argument('--output', help='the picture with boxes')
    parser.add_argument('--input_mean', type=float, default=127.5, help='of float models')
    parser.add_argument('--input_std', type=float, default=127.5, help='of float models')
    parser.add_argument('--num_threads', type=int, help='threads of the CPU kernels')
    parser.add_argument('-e', '--ext_delegate', default='libferrite_delegate.so',
                        help='library of the delegate, empty for none')
    parser.add_argument('-o', '--ext_delegate_options', type=delegate_options, default={},
                        metavar='key:value;...', help='options of the delegate')
    return parser.parse_args()


def read_labels(path):
    labels = {}
    with open(path, encoding='utf-8') as file:
        for number, line in enumerate(file):
            first, _, rest = line.strip().partition(' ')
            numbered = first.isdigit() and rest
            labels[int(first) if numbered else number] = (rest if numbered else line).strip()
    return labels


def main():
    args = arguments()
    interpreter = make_interpreter(args)
    details = interpreter.get_input_details()
    interpreter.set_tensor(details[0]['index'], load_input(args.image, details[0], args.input_mean, args.input_std))
    for state in details[1:]:
        # Models with a memory begin with what their zero is.
        zero = np.full(state['shape'], state['quantization'][1], state['dtype'])
        interpreter.set_tensor(state['index'], zero)
    start = time.perf_counter()
    interpreter.invoke()
    took = time.perf_counter() - start

    labels = read_labels(args.label_file) if args.label_file else {}
    picture = Image.open(args.image).convert('RGB')
    draw = ImageDraw.Draw(picture)
    for box, kind, score in zip(*outputs(interpreter)):
        if score < args.threshold:
            continue
        name = labels.get(int(kind), f'class {int(kind)}')
        top, left, bottom, right = np.clip(box, 0, 1) * np.array([picture.height, picture.width] * 2)
        print(f'{score:.3f}: {name} at {left:.0f},{top:.0f} to {right:.0f},{bottom:.0f}')
        if left <= right and top <= bottom:
            draw.rectangle([left, top, right, bottom], outline=(255, 64, 0), width=2)
            draw.text((left + 3, top + 2), f'{name} {score:.2f}', fill=(255, 64, 0))
    print(f'time: {1e3 * took:.1f} ms')
    if args.output:
        picture.save(args.output)


if __name__ == '__main__':
    main()
