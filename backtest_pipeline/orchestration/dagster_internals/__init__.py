"""What is known of Dagster's private names, and how a change of them is noticed."""
