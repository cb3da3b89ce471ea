"""Judges made of rules, counts and small language models of their own; never called LLM judges."""

from tasks.judging.heuristic.judge import HeuristicJudge, load_heuristic
from tasks.judging.heuristic.params import HeuristicParams
from tasks.judging.heuristic.train import train_heuristic

__all__ = ["HeuristicJudge", "HeuristicParams", "load_heuristic", "train_heuristic"]
