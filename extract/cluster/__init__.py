"""Extraction on many workers: Ray starts them, watches them and moves what they are sent.

==================  ===========================================================================
slots               how many workers go where
chunks              the listing cut into chunks; which to do again, and which image to give up
messages            what the driver and a worker tell each other
actor               the worker's side
backend             what is needed of whatever runs workers
ray_backend         the one door to Ray
heartbeat           whether what Ray cannot do without still answers
guard               what speaks where Ray has ended the process all the same
handshake           what workers are told of a run
workers             workers come and go
driver              the loop that hands out chunks
==================  ===========================================================================

Why actors of Ray Core and not a pipeline of Ray Data (`map_batches` with an actor pool), tried with Ray
2.60: (1) Ray Data repeats a task that killed its worker without end, also with ``max_errored_blocks`` (13
times in 200 s), or, if told not to, drops it without saying which rows it held; one picture that exhausts
the memory must be found and named. (2) Its actors live as long as one pipeline, so every round that repeats
dropped rows would load the network again on every worker. (3) Its inputs are put into the object store
before it starts; chunks of a listing of ten million images are cut when a worker is free for one. (4) Its
checkpoints (2.60) need a folder that the whole cluster sees, pass over what was done and name no row that
ended a worker; with pandas and pyarrow it is 250 MB more to install. The scheduling (where a worker fits,
which GPUs it sees, when a node is lost, how bytes travel) is Ray's in both.
"""
