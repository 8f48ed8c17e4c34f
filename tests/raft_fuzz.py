"""Many simulated worlds: `python -m tests.raft_fuzz --seeds 10000 [--first N] [--jobs N]`.

Every violation is printed with its seed; `--first SEED --seeds 1` runs that world again. Ctrl-C ends it early, with the
sum of what was run. Ends with status 1 if there was any violation.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import signal
import sys
import time
from collections import Counter
from contextlib import suppress

from rich.progress import track

from tests.raft_sim import Violation, World


def run(seed: int) -> tuple[dict[str, int], str]:
    """What happened in one world, and what was wrong with it."""
    logging.disable(logging.CRITICAL)
    world = World(seed)
    try:
        world.run()
    except Violation as violation:
        return dict(world.counts), str(violation)
    except Exception as problem:
        return dict(world.counts), f"seed {seed}: {problem!r}"
    return dict(world.counts), ""


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m tests.raft_fuzz", description="Simulates cells under faults.")
    options.add_argument("--seeds", type=int, default=1000, help="how many worlds")
    options.add_argument("--first", type=int, default=0, help="the first seed")
    options.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at once")
    chosen = options.parse_args()
    counts: Counter[str] = Counter()
    done = wrong = 0
    start = time.monotonic()
    seeds = range(chosen.first, chosen.first + chosen.seeds)
    ignoring = (signal.SIGINT, signal.SIG_IGN)
    pools = multiprocessing.get_context("spawn")
    with pools.Pool(chosen.jobs, signal.signal, ignoring) as pool, suppress(KeyboardInterrupt):
        found = pool.imap_unordered(run, seeds, chunksize=10)
        for counted, what in track(found, total=len(seeds), description="worlds", disable=not sys.stderr.isatty()):
            counts.update(counted)
            done += 1
            if what:
                wrong += 1
                print(what, flush=True)
    told = ", ".join(f"{number:,} {name}" for name, number in sorted(counts.items()))
    print(f"{done:,} worlds in {time.monotonic() - start:.0f} s: {wrong} violations; {told}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
