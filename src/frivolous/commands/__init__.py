"""What the command line's verbs do; each module imports what its verbs need."""
