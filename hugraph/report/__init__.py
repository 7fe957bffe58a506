"""What runs say: each at a glance, and several side by side."""
