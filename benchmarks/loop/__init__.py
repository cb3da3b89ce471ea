"""The loop driven for real: the platform's own servers, simulated reviewers over HTTP, the gate, a release."""
