"""Where every run prints, so that progress and tables do not tear each other."""

from rich.console import Console

console = Console()
"""The one console."""
