"""The pages: each module has its `ROUTES`, with paths below `/dashboard`. Modules whose names begin with an underscore
are shared by pages."""
