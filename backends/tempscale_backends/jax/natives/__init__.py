"""What is faster or more accurate in a way of its own, a module a topic: importing them registers it."""

from tempscale_backends.jax.natives import linear as linear
from tempscale_backends.jax.natives import precision as precision
from tempscale_backends.jax.natives import probability as probability
from tempscale_backends.jax.natives import random as random
from tempscale_backends.jax.natives import sampling as sampling
