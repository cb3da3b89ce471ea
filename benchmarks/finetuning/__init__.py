"""`make study`: ways to fine-tune side by side, and what few examples of a task are worth."""
