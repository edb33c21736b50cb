"""TensorFlow. Has no namespace after the array API standard, so this package brings one."""

from tempscale.backend import BackendEntry

entry = BackendEntry(
    "tensorflow",
    "tempscale_backends.tensorflow.backend:TensorFlowBackend",
    "tempscale[tensorflow]",
    models={"keras:Layer": "tempscale_backends.tensorflow.keras.models:KerasReader"},
)
