"""Neural networks: velocity field, convex potentials, time features, units of the cells."""
