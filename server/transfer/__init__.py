"""Projects from files and files from projects: imports, exports, documents as mutations."""
