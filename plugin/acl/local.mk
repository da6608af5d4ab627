# The plugin acl.
