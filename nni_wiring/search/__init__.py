"""One search: its options, its assembly, its run, and what is done with it afterwards."""
