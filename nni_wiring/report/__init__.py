"""What a run did: analysis, plain sentences, figures and the HTML report."""
