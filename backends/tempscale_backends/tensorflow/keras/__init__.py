"""Keras, on whichever framework it runs: what is here imports Keras alone."""
