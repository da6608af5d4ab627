# The plugin example-deferred.
