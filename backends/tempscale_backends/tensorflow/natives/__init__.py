"""What is faster or more accurate in a way of its own, a module a topic: importing them registers it."""

from tempscale_backends.tensorflow.natives import linear as linear
from tempscale_backends.tensorflow.natives import precision as precision
from tempscale_backends.tensorflow.natives import probability as probability
from tempscale_backends.tensorflow.natives import random as random
from tempscale_backends.tensorflow.natives import sampling as sampling
