"""Reports of runs: analysis, plain sentences, figures and the HTML page."""
