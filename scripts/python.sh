#!/bin/sh
# Runs its arguments with the first Python that is new enough; the only thing here that a machine must have by itself.
for python in "${PYTHON:-python3}" python3.14 python3.13 python3.12 python3.11; do
  if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    exec "$python" "$@"
  fi
done
echo "Sharelite needs Python 3.11 or newer; python3 is $(python3 --version 2>&1 || echo missing)." >&2
echo "Install one (Debian: apt install python3, macOS: brew install python) or name it: make PYTHON=/path/to/python3" >&2
exit 1
