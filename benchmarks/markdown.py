"""Markdown, as the reports print it."""

__all__ = ["markdown_table"]


def markdown_table(header, rows):
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"
