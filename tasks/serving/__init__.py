"""Serving: what answers, what guards it, what is kept of it and how it drifts."""
