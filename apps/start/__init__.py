"""The first page of the platform: its parts, where they are and how each is."""
