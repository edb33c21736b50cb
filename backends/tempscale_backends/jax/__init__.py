"""JAX. Its own `jax.numpy` is the namespace."""

from tempscale.backend import BackendEntry

entry = BackendEntry(
    "jax",
    "tempscale_backends.jax.backend:JaxBackend",
    "tempscale[jax]",
    models={"flax.nnx:Module": "tempscale_backends.jax.models:NnxReader"},
)
