"""The backends that come with tempscale: the only place that imports frameworks, one package each."""
