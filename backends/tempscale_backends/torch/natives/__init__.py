"""What is faster or more accurate in a way of its own, a module a topic: importing them registers it."""

from tempscale_backends.torch.natives import losses as losses
from tempscale_backends.torch.natives import precision as precision
from tempscale_backends.torch.natives import probability as probability
from tempscale_backends.torch.natives import random as random
from tempscale_backends.torch.natives import sampling as sampling
