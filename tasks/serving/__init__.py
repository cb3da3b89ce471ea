"""Serving: which version, one loop that makes replies, the guard, the record. The HTTP side is apps/serve."""
