"""NumPy: the default, always there."""

from tempscale.backend import BackendEntry

entry = BackendEntry("numpy", "tempscale_backends.numpy.backend:NumpyBackend", "tempscale")

tracer = BackendEntry(
    "autograd", "tempscale_backends.numpy.traced:TracedNumpyBackend", "tempscale[autograd]", stands_for="numpy"
)
