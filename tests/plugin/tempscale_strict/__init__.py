"""array-api-strict for tempscale. Importing this module does not import the framework."""

from tempscale.backend import BackendEntry

entry = BackendEntry(
    framework="array_api_strict",
    target="tempscale_strict.backend:StrictBackend",
    requirement="array-api-strict",
)
