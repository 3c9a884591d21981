"""NNI's side: trials, experiments, the manager, tuners."""
