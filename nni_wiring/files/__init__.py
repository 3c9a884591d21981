"""Everything that reads or writes bytes on disk: what comes from elsewhere is hostile."""
