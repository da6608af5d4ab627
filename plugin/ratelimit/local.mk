# The plugin ratelimit.
