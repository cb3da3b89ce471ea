"""Rules of English grammar for texts written for children: each names a fault that it is sure of, or says nothing."""

from tasks.judging.heuristic.english.faults import broken_rules, faults_in
from tasks.judging.heuristic.english.phrases import Fault

__all__ = ["Fault", "broken_rules", "faults_in"]
