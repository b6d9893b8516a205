"""What stands between the network and Dagster's web server, and the pages that are ours."""
