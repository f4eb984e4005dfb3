/* Publishes to topics in an order that looks random, as bench/benchmarks/subscriptions.py does. */
#include "zmq_side.h"

int main(int argc, char **argv)
{
    struct job job = parse_job(argc, argv);
    if (job.subscriptions < 1)
        fail("subscriptions: expected at least 1");
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
        pause_for(0.02);
    }
    wait_told();
    uint64_t state = 12345;
    memset(message, '.', job.size);
    double start = now();
    for (long n = 0; n < job.count; n++) {
        char topic[TOPIC_SIZE + 1];
        state = (state * 1103515245 + 12345) % (1ULL << 31);
        format_topic(topic, &job, (long)((state >> 8) % (uint64_t)job.subscriptions));
        memcpy(message, topic, TOPIC_SIZE);
        must(zmq_send(pub, message, job.size, 0), "zmq_send");
    }
    double seconds = now() - start;
    stamp(message, END, (uint64_t)job.count);
    must(zmq_send(pub, message, job.size, 0), "zmq_send");
    printf("{\"event\": \"result\", \"seconds\": %.9f}\n", seconds);
    fflush(stdout);
    wait_told();
    zmq_close(pub);
    zmq_ctx_term(context);
    return 0;
}
