"""The paper's toy experiment, on points in the plane."""
