"""A client of Salus in Python, written from docs/foreign-clients.md and the specifications that it names."""
