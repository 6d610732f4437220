"""A queue of litequeue: fill FILE COUNT COMMAND, or work FILE, which tells when it began and ended."""

import os
import sys
import time

from litequeue import LiteQueue

verb, file = sys.argv[1:3]
queue = LiteQueue(file)
if verb == "fill":
    with queue.transaction():
        for _ in range(int(sys.argv[3])):
            queue.put(sys.argv[4])
else:
    begun = ended = None
    while message := queue.pop():
        begun = begun or message.lock_time / 1e9
        child = os.posix_spawn(message.data, [message.data], os.environ)
        os.waitpid(child, 0)
        queue.done(message.message_id)
        ended = time.time()
    print(begun, ended)
