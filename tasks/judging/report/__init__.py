"""The report on a judge's verdicts: one page of HTML that needs nothing but a browser."""

from tasks.judging.report.page import write_report

__all__ = ["write_report"]
