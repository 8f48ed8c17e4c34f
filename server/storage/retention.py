"""Which images may go (SPEC I11). Decides; removes nothing."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from ..config import ImagePolicy
from .manifest import Name

#: Read so lately, an image counts as being read: a viewer asks for pages only now and then.
LATELY = 600.0


class Shown(Struct, frozen=True):
    """A published image. `at`: since when; `read`: when last (infinity: now), None if nobody did since the start."""

    name: Name
    at: float
    read: float | None


def retired(images: Sequence[Shown], policy: ImagePolicy, now: float, started: float) -> list[Name]:
    """Those that may go, oldest first; never the newest. `images`: oldest first; `started`: when this process did,
    which knows of no reader before."""
    gone: list[Name] = []
    for image, successor in zip(images, images[1:], strict=False):
        if image.read is None:
            free = max(successor.at, started) + policy.unread
        else:
            free = max(successor.at, image.read) + policy.read
        if now >= free:
            gone.append(image.name)
    surplus = len(images) - len(gone) - policy.most
    for image in images[:-1]:
        if surplus > 0 and image.name not in gone and (image.read is None or image.read < now - LATELY):
            gone.append(image.name)
            surplus -= 1
    return sorted(gone)
