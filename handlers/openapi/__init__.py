"""The protocol as OpenAPI 3.1. Only `address.py` is imported before somebody asks for it.

A new endpoint needs an entry in `operations.py`; what it reads is the Struct that its handler reads, what it answers a
Struct in `answers.py`.
"""
