"""What Keras has no public name for. It is used here and nowhere else, and another version may not have it.

They were seen to work in Keras 3.15.
"""

from __future__ import annotations

from typing import Any


def layers_inside(layer: Any) -> list[Any]:
    """Return the layers that a layer or model holds itself, not those inside them.

    Without: what a model says in public. What a layer that is no model holds is then not seen: it is one layer.
    """
    try:
        return list(layer._flatten_layers(include_self=False, recursive=False))
    except AttributeError:
        return list(getattr(layer, "layers", ()))
