"""Raft by PySyncObj, hardened: DESIGN.md beside this package says what is added, why, and what proves it."""
