"""Processes that call one function under hard limits of time and memory."""
