"""The report as one HTML page. Start at `classify.report.make`."""
