/* PUSH to PULL between two threads. */
#include <pthread.h>

#include "zmq_side.h"

static struct job job;
static void *context;

static void *sender(void *unused)
{
    void *push = make_socket(context, ZMQ_PUSH);
    must(zmq_connect(push, "inproc://bench"), "zmq_connect");
    send_stream(push, &job);
    zmq_close(push);
    return unused;
}

int main(int argc, char **argv)
{
    job = parse_job(argc, argv);
    context = zmq_ctx_new();
    void *pull = make_socket(context, ZMQ_PULL);
    must(zmq_bind(pull, "inproc://bench"), "zmq_bind");
    pthread_t thread;
    if (pthread_create(&thread, NULL, sender, NULL))
        fail("no thread");
    receive_stream(pull, &job);
    pthread_join(thread, NULL);
    zmq_close(pull);
    zmq_ctx_term(context);
    return 0;
}
