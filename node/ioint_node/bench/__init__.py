"""`ioint bench`: what the node does, measured beside its floors and peers in one run."""
