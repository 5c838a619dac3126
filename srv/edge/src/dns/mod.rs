//! Names of services and instances, answered from a snapshot that changes with the routes.
