"""What is faster or more accurate in a way of its own, a module a topic: importing them registers it."""

from tempscale_backends.numpy.natives import gradients as gradients
from tempscale_backends.numpy.natives import precision as precision
from tempscale_backends.numpy.natives import probability as probability
from tempscale_backends.numpy.natives import random as random
from tempscale_backends.numpy.natives import sampling as sampling
