"""A run directory as one page that a person can look at; reads tables, never trains."""

from genmem.reports.page import report as report
