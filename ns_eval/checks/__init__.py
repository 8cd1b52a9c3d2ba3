"""What is looked at before a run: on the login node without a server, and on the server itself."""
