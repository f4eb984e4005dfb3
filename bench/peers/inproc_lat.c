/* REQ and REP in two threads. */
#include <pthread.h>

#include "zmq_side.h"

static void *context;

static void *replier(void *unused)
{
    void *rep = make_socket(context, ZMQ_REP);
    must(zmq_connect(rep, "inproc://bench"), "zmq_connect");
    echo(rep);
    zmq_close(rep);
    return unused;
}

int main(int argc, char **argv)
{
    struct job job = parse_job(argc, argv);
    context = zmq_ctx_new();
    void *req = make_socket(context, ZMQ_REQ);
    must(zmq_bind(req, "inproc://bench"), "zmq_bind");
    pthread_t thread;
    if (pthread_create(&thread, NULL, replier, NULL))
        fail("no thread");
    ask_and_say(req, &job);
    must(zmq_send(req, "", 0, 0), "zmq_send"); /* the other's signal to end */
    char nothing;
    must(zmq_recv(req, &nothing, 1, 0), "zmq_recv");
    pthread_join(thread, NULL);
    zmq_close(req);
    zmq_ctx_term(context);
    return 0;
}
