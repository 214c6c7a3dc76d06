"""The only place with sockets, files, clocks and clients."""
