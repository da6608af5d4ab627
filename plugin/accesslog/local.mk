# The plugin accesslog.
