/* Many subscribers, each of which has to get every message of fan_pub. */
#include "zmq_side.h"

#define PATIENCE 4.0

int main(int argc, char **argv)
{
    struct job job = parse_job(argc, argv);
    long n = job.peers, greeted = 0, left = n, received = 0;
    void *context = zmq_ctx_new();
    zmq_pollitem_t *items = calloc((size_t)n, sizeof *items);
    long *counts = calloc((size_t)n, sizeof *counts);
    char *hello = calloc((size_t)n, 1);
    unsigned char *message = malloc(job.size);
    if (!items || !counts || !hello || !message)
        fail("no memory");
    for (long i = 0; i < n; i++) {
        items[i] = (zmq_pollitem_t){.socket = make_socket(context, ZMQ_SUB), .events = ZMQ_POLLIN};
        no_limit(items[i].socket);
        must(zmq_setsockopt(items[i].socket, ZMQ_SUBSCRIBE, "#", 1), "ZMQ_SUBSCRIBE");
        must(zmq_connect(items[i].socket, job.endpoint), "zmq_connect");
    }
    while (left) {
        int ready = zmq_poll(items, (int)n, (long)(1000 * PATIENCE));
        must(ready, "zmq_poll");
        if (!ready && greeted == n)
            fail("%ld of %ld messages did not arrive", n * job.count - received, n * job.count);
        for (long i = 0; i < n; i++) {
            if (!(items[i].revents & ZMQ_POLLIN))
                continue;
            int size;
            while ((size = zmq_recv(items[i].socket, message, job.size, ZMQ_DONTWAIT)) >= 0) {
                if (!hello[i]) {
                    hello[i] = 1;
                    if (++greeted == n) {
                        printf("{\"event\": \"ready\"}\n");
                        fflush(stdout);
                    }
                }
                if (message[1] == HELLO)
                    continue;
                int kind = check_stamp(message, (size_t)size, (uint64_t)counts[i]++, job.size);
                received++;
                left -= kind == END;
            }
        }
    }
    printf("{\"event\": \"result\", \"end\": %.9f, \"received\": %ld}\n", now(), received);
    fflush(stdout);
    for (long i = 0; i < n; i++)
        zmq_close(items[i].socket);
    zmq_ctx_term(context);
    return 0;
}
