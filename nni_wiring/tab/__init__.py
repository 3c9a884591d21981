"""The tab WIRING of TensorBoard: its summaries, its server side and its page. Imports no torch."""
