"""The report on a judge's verdicts: one page of HTML that needs nothing but a browser."""
