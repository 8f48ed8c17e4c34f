"""The process that makes images, on a disk on which the n-th step is its last, or finds it full.

python -m tests.darkrooms N kill|full FOLDER IDLE
"""

from __future__ import annotations

import sys

from sharelite.storage.child import main
from tests.faults import FaultyFiles, Steps

if __name__ == "__main__":
    step, fault, folder, idle = sys.argv[1:]
    main(FaultyFiles(Steps(int(step), "kill" if fault == "kill" else "full")), folder, idle)
