"""The measurements of S1 (wiring evolution) and S2 (architecture selection), one file per study."""
