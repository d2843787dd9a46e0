"""gobi beside rsync and unison, in one run: see bench/README.md."""
