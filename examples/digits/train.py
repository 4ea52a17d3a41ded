#!/usr/bin/env python3
"""Train and quantise the digits network of the demonstration.

    python3 -m venv venv && venv/bin/pip install -r requirements.txt
    venv/bin/python train.py            # rewrites every generated file beside this script

The data are the 1797 handwritten digits that scikit-learn bundles (`sklearn.datasets.load_digits`):
8x8 pixels with 17 grey levels, the test part of the UCI data set "Optical Recognition of Handwritten
Digits" (E. Alpaydin, C. Kaynak, 1998; CC BY 4.0). They are enlarged to 16x16 bilinearly. A quarter is
held out, stratified by class; the network never sees it, neither in training nor as calibration data.

The network is trained in float and converted by TensorFlow's own converter to full-integer int8, once
with one weight scale for each tensor (`digits.tflite`) and once with one for each output channel
(`digits-per-axis.tflite`). Both are then measured with TFLite's reference kernels on the held-out
images: that figure, in `accuracy.json`, is what `make run` holds the NPU against.
"""
import json
import os
import pathlib
import platform

SEED = 20
# Threads change the order of float additions, so training is repeatable only with one of each.
os.environ.update(TF_CPP_MIN_LOG_LEVEL='2', TF_DETERMINISTIC_OPS='1', TF_ENABLE_ONEDNN_OPTS='0', CUDA_VISIBLE_DEVICES='')

import keras
import numpy as np
import sklearn
import tensorflow as tf
from keras import layers
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

HERE = pathlib.Path(__file__).resolve().parent
SIZE = 16
EPOCHS = 90
BATCH = 64
CALIBRATION_IMAGES = 300


def dataset():
    """Images as uint8 [n, 16, 16, 1] (ink is bright) with their labels: train, test."""
    digits = load_digits()
    small = np.round(digits.images * (255 / 16)).astype(np.uint8)
    images = np.stack([np.asarray(Image.fromarray(i).resize((SIZE, SIZE), Image.Resampling.BILINEAR)) for i in small])
    labels = digits.target.astype(np.uint8)
    return train_test_split(images[..., None], labels, test_size=0.25, random_state=SEED, stratify=labels)


def network():
    """A small residual network of depthwise separable convolutions.

    Every activation is ReLU6 so that ranges, and with them the 8-bit scales, stay tight. The pooling
    has an explicit 4x4 window, which the converter keeps as AVERAGE_POOL_2D; Keras' global pooling
    would become MEAN.
    """
    def conv(x, channels, kernel, strides=1, activation=True):
        x = layers.Conv2D(channels, kernel, strides, padding='same', use_bias=False)(x)
        x = layers.BatchNormalization(momentum=0.9)(x)
        return layers.ReLU(6.0)(x) if activation else x

    def depthwise(x, strides=1):
        x = layers.DepthwiseConv2D(3, strides, padding='same', use_bias=False)(x)
        x = layers.BatchNormalization(momentum=0.9)(x)
        return layers.ReLU(6.0)(x)

    def residual(x, channels):
        return layers.Add()([x, conv(depthwise(conv(x, 2 * channels, 1)), channels, 1, activation=False)])

    image = layers.Input((SIZE, SIZE, 1), name='image')
    x = conv(image, 16, 3)
    x = conv(depthwise(x, strides=2), 32, 1)
    x = residual(x, 32)
    x = conv(depthwise(x, strides=2), 64, 1)
    x = residual(x, 64)
    x = layers.AveragePooling2D(4)(x)
    x = layers.Flatten()(x)
    x = layers.Dropout(0.2)(x)
    return keras.Model(image, layers.Dense(10, activation='softmax', name='digit')(x))


def as_float(images):
    return images.astype(np.float32) / 255


def train(model, images, labels):
    """Adam with a cosine schedule on images that are shifted, turned and scaled a little each epoch."""
    augment = keras.Sequential([
        layers.RandomTranslation(0.08, 0.08, fill_mode='constant', seed=SEED),
        layers.RandomRotation(0.03, fill_mode='constant', seed=SEED + 1),
        layers.RandomZoom(0.1, fill_mode='constant', seed=SEED + 2),
    ])
    data = tf.data.Dataset.from_tensor_slices((as_float(images), labels))
    data = data.shuffle(len(images), seed=SEED).batch(BATCH)
    data = data.map(lambda x, y: (augment(x, training=True), y), num_parallel_calls=1, deterministic=True)
    steps = EPOCHS * -(-len(images) // BATCH)
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(2e-3, steps)),
                  'sparse_categorical_crossentropy', metrics=['accuracy'])
    model.fit(data, epochs=EPOCHS, verbose=2)


def convert(model, calibration, per_axis):
    """The bytes of the full-integer int8 model."""
    # A fixed batch of one leaves no dynamic shape arithmetic in the converted graph.
    image = layers.Input(batch_shape=(1, SIZE, SIZE, 1), name='image')
    converter = tf.lite.TFLiteConverter.from_keras_model(keras.Model(image, model(image, training=False)))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([as_float(i[None])] for i in calibration)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    converter._experimental_disable_per_channel = not per_axis
    return converter.convert()


def interpreter(model):
    resolver = tf.lite.experimental.OpResolverType.BUILTIN_REF
    result = tf.lite.Interpreter(model_content=model, num_threads=1, experimental_op_resolver_type=resolver)
    result.allocate_tensors()
    return result


def quantise_input(images, detail):
    scale, zero_point = detail['quantization']
    return np.clip(np.round(as_float(images) / scale) + zero_point, -128, 127).astype(np.int8)


def predict(model, images):
    """TFLite's answers, by its reference kernels."""
    it = interpreter(model)
    source, sink = it.get_input_details()[0], it.get_output_details()[0]
    answers = []
    for image in quantise_input(images, source):
        it.set_tensor(source['index'], image[None])
        it.invoke()
        answers.append(int(np.argmax(it.get_tensor(sink['index'])[0])))
    return np.array(answers)


def operators(model):
    names = [op['op_name'] for op in interpreter(model)._get_ops_details() if op['op_name'] != 'DELEGATE']
    return {name: names.count(name) for name in dict.fromkeys(names)}


def main():
    keras.utils.set_random_seed(SEED)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()

    train_images, test_images, train_labels, test_labels = dataset()
    model = network()
    train(model, train_images, train_labels)
    calibration = train_images[:CALIBRATION_IMAGES]
    correct = lambda answers: int((answers == test_labels).sum())

    results = {}
    for name, per_axis in [('digits.tflite', False), ('digits-per-axis.tflite', True)]:
        converted = convert(model, calibration, per_axis)
        (HERE / name).write_bytes(converted)
        answers = predict(converted, test_images)
        results[name] = dict(correct=correct(answers), accuracy=correct(answers) / len(test_labels), operators=operators(converted))
    np.save(HERE / 'test-images.npy', test_images)
    np.save(HERE / 'test-labels.npy', test_labels)
    (HERE / 'samples').mkdir(exist_ok=True)
    for digit in range(10):
        first = test_images[test_labels == digit][0]
        Image.fromarray(first[..., 0]).save(HERE / 'samples' / f'{digit}.png')
    (HERE / 'labels.txt').write_text(''.join(f'{n}\n' for n in ['zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine']))
    float_answers = model.predict(as_float(test_images), verbose=0).argmax(1)
    report = dict(
        measured_with='TFLite BUILTIN_REF, 1 thread',
        images=len(test_labels),
        float_correct=correct(float_answers),
        models=results,
        parameters=model.count_params(),
        versions=dict(python=platform.python_version(), tensorflow=tf.__version__, keras=keras.__version__,
                      scikit_learn=sklearn.__version__, numpy=np.__version__),
    )
    (HERE / 'accuracy.json').write_text(json.dumps(report, indent=2) + '\n')
    print(json.dumps(report, indent=2))


if __name__ == '__main__':
    main()
