"""Keeping the house: backups, what may be thrown away, what somebody wants deleted."""
