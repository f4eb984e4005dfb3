/* Says hello until it is told that all have subscribed, then publishes a count of messages. */
#include "zmq_side.h"

int main(int argc, char **argv)
{
    struct job job = parse_job(argc, argv);
    void *context = zmq_ctx_new(), *pub = make_socket(context, ZMQ_PUB);
    no_limit(pub);
    unsigned char *message = malloc(job.size);
    if (!message)
        fail("no memory");
    memset(message, '.', job.size);
    bind_and_say(pub, job.endpoint);
    while (!told()) {
        stamp(message, HELLO, 0);
        must(zmq_send(pub, message, job.size, 0), "zmq_send");
        pause_for(0.01);
    }
    wait_told();
    double start = now();
    for (long n = 0; n < job.count; n++) {
        stamp(message, n == job.count - 1 ? END : n == 0 ? START : RUN, (uint64_t)n);
        must(zmq_send(pub, message, job.size, 0), "zmq_send");
    }
    printf("{\"event\": \"result\", \"start\": %.9f, \"seconds\": %.9f}\n", start, now() - start);
    fflush(stdout);
    wait_told();
    free(message);
    zmq_close(pub);
    zmq_ctx_term(context);
    return 0;
}
