"""From a starting image to the result: optimisers, their loop, scales. No files, no logger."""
