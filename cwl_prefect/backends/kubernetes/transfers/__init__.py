"""Files of calls on their way through an object store, where pods share no volume with the driver."""
