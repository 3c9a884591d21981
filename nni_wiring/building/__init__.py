"""A truth of one's own: every cell of a space trained, kept row by row, and made a table."""
