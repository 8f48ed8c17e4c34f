"""Sharelite: one project is one SQLite database, and that database is the document."""

__version__ = "0.1.0"
