"""Which interface an application has, and what it and its server need."""
