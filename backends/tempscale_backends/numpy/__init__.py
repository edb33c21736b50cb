"""NumPy: the default, always there."""

from tempscale.backend import BackendEntry

entry = BackendEntry("numpy", "tempscale_backends.numpy.backend:NumpyBackend", "tempscale")
