"""The supernet cell as few large operations: the same function as the plain cell, fast."""
