"""The paper's toy study, on points in the plane."""
