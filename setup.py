"""Packages `exporter` and `patches`.

Requirements are loose, and TensorFlow is none of them: whoever exports a model
has pinned the TensorFlow that it was trained with, and installing this must not
touch it. `requirements/` has the exact versions that this project is tested with.
"""

import setuptools

_OBJECT_DETECTION = [
    'tensorflow>=2.8',
    'tensorflow-io; python_version < "3.13"',  # No wheel; not needed to export.
    'tf-models-official>=2.8',  # Brings the tf-keras of TensorFlow's minor version.
    'tf-models-research-object-detection==2.8.0.post1',
]
_DRAW = ['pillow>=10.1']
_PLOT = ['matplotlib']
_PATCHES = ['libcst']
_SERVING = ['grpcio', 'tensorflow-serving-api']
# Other runtimes, and the schemas of what deploys a model.
_INTEROP = [
    'compose-pydantic',
    # The last with wheels for Python 3.10.
    'onnxruntime<1.24; python_version < "3.11"',
    'onnxruntime; python_version >= "3.11"',
    'openvino',
    'tf2onnx',
    'tritonclient[grpc]',
]
# Many images at a time: what is written, and the clusters.
_BATCH = ['pyarrow', 'pycocotools']
# Buckets; further packages of fsspec, such as adlfs, serve others.
_REMOTE = ['fsspec', 'gcsfs', 's3fs']
_SPARK = [*_BATCH, 'pyspark']
_BEAM = ['apache-beam[tfrecord]']
# A server of S3 on this machine, for tests.
_BUCKET = ['flask', 'flask-cors', 'moto[s3]', 's3fs', 'werkzeug']
_EVALUATION = ['lvis', 'opencv-python-headless', 'pycocotools']  # Upstream's.
_TEST = ['hypothesis', 'pytest', *_DRAW, *_EVALUATION, *_PLOT, *_PATCHES,
         *_SERVING]
_COMMANDS = ['dead_nodes', 'detect_images', 'draw_detections', 'exporter_main_v2',
             'saved_model_payload', 'slim_saved_model', 'triton_config']

setuptools.setup(
    name='lean-detection-exporter',
    version='0.1.0',
    description='Exports TensorFlow Object Detection models with only the outputs'
                ' that you want.',
    python_requires='>=3.9',
    packages=[*setuptools.find_packages(
        include=['exporter', 'exporter.*', 'patches', 'patches.*']),
        'exporter.profiles'],
    # The profiles lie where one looks for them in the repository, and there alone.
    package_dir={'exporter.profiles': 'configs/outputs'},
    package_data={'exporter.profiles': ['*.yaml']},
    py_modules=['lean_detection_exporter'],
    install_requires=['absl-py', 'numpy', 'protobuf', 'PyYAML', 'rich'],
    extras_require={
        'batch': _BATCH,
        'beam': _BEAM,
        'bucket': _BUCKET,
        'draw': _DRAW,
        'interop': _INTEROP,
        'object_detection': _OBJECT_DETECTION,
        'patches': _PATCHES,
        'plot': _PLOT,
        'remote': _REMOTE,
        'serving': _SERVING,
        'spark': _SPARK,
        'test': _TEST,
    },
    entry_points={
        'console_scripts': [
            f'{name} = lean_detection_exporter:{name}' for name in _COMMANDS
        ],
    },
)
