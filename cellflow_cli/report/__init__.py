"""The report of an evaluation: tables and figures of its scores; computes no statistics, never trains."""

from cellflow_cli.report.data import Inputs, ReportData, collect
from cellflow_cli.report.page import FILES, files

__all__ = ["FILES", "Inputs", "ReportData", "collect", "files"]
