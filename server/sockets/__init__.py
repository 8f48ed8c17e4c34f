"""Websockets: the thin shell around sessions, and who is connected to which project."""
