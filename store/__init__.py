"""Where things are kept: contracts, backends, and what a vault does with them."""
