"""HTTP: bytes in, bytes out. What is asked for is decided in project, catalog and auth."""
