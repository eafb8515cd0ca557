"""The interface of an application, and whether it needs the length of a body."""
