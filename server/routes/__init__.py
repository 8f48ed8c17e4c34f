"""HTTP under /v1: bytes in, bytes out."""
