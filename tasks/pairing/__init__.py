"""What `pair` is made of: preferences out of a judge's verdicts and people's decisions, chosen, checked and counted."""
