"""Who this node is to its cell, before its Raft begins (SPEC K67).

A node without a journal may begin a cell, or join one, or have lost what it had. The last is dangerous: its vote and
what it acknowledged would count a second time. So it asks the others first, and comes back as another member.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

from .cluster.links import Links, Told, Unreachable
from .cluster.plan import Plan
from .storage.files import Files
from .storage.node import Node, renamed

logger = logging.getLogger(__name__)

ASK_SECONDS = 2.0
PAUSE = 0.1
SAY_SECONDS = 10.0


async def introduced(plan: Plan, known: Node, files: Files, data: Path, links: Links) -> tuple[Node, bool]:
    """The node as it is to take part, and whether it joins a cell that is there already. Waits for the other nodes."""
    journal = data / "raft"
    if journal.exists() and any(journal.iterdir()):
        return known, plan.joins
    links.answer("members", _none)
    others = [name for name in plan.nodes if name != plan.node]
    answers: dict[str, Any] = {}
    said = 0.0
    while len(answers) < len(others):
        for name in others:
            if name not in answers:
                await _asked(links, name, answers)
        found = [members for members in answers.values() if members is not None]
        before = max((members[plan.node] for members in found if plan.node in members), default=0)
        if before >= known.incarnation:
            logger.warning("this node has lost what it had; it comes back as another member of its cell")
            return renamed(files, data, plan.node, before + 1), True
        if plan.joins and found:
            return known, True
        if len(answers) < len(others):
            if (now := asyncio.get_running_loop().time()) - said > SAY_SECONDS:
                waiting = ", ".join(sorted(set(others) - set(answers)))
                logger.warning("a node without a journal waits until it has heard of every other node: %s", waiting)
                said = now
            await asyncio.sleep(PAUSE)
    return known, plan.joins


async def _asked(links: Links, name: str, answers: dict[str, Any]) -> None:
    try:
        answers[name] = await links.ask(name, "members", None, ASK_SECONDS)
    except (Unreachable, Told) as problem:
        logger.debug("%s", problem)


async def _none(node: str, content: Any) -> None:
    """Nothing is known here yet."""
