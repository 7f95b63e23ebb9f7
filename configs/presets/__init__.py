"""Which data an experiment is about, one data set a file, and for which size of recipe."""
