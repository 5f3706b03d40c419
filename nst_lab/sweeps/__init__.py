"""Many runs: cells, launchers, what they will cost, and the labelled picture at the end."""
