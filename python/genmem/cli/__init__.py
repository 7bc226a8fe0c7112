"""The command line: one verb, one file, and the same names as the library."""

from genmem.cli.app import app as app
from genmem.cli.app import main as main
