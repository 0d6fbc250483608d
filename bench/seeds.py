"""Seeds by named axes, so that one source of randomness can be varied alone.

Axes: `init` (weights), `order` (which images form a batch), `views` (augmentation), `probe` (what evaluation draws).
"""

from __future__ import annotations

import hashlib

AXES = ("init", "order", "views", "probe")


def derive(seed: int, *keys: str | int) -> int:
    """63-bit integer from SHA-256 of the seed and the keys, e.g. `derive(3, 'views', epoch, step, view)`.

    Different keys give unrelated streams, on every platform and in every version.
    """
    text = "/".join(str(part) for part in (seed, *keys))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
