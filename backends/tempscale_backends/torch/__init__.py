"""PyTorch. Needs torch and array-api-compat, which wraps it in the array API standard."""

from tempscale.backend import BackendEntry

entry = BackendEntry(
    "torch",
    "tempscale_backends.torch.backend:TorchBackend",
    "tempscale[torch]",
    models={"torch.nn:Module": "tempscale_backends.torch.models:TorchReader"},
)
