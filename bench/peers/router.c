/* A ROUTER that replies to everything with itself, until it is ended. */
#include "zmq_side.h"

int main(int argc, char **argv)
{
    struct job job = parse_job(argc, argv);
    void *context = zmq_ctx_new();
    must(zmq_ctx_set(context, ZMQ_MAX_SOCKETS, 20000), "ZMQ_MAX_SOCKETS");
    void *router = make_socket(context, ZMQ_ROUTER);
    bind_and_say(router, job.endpoint);
    for (;;) {
        zmq_msg_t frame;
        int more;
        do {
            must(zmq_msg_init(&frame), "zmq_msg_init");
            must(zmq_msg_recv(&frame, router, 0), "zmq_msg_recv");
            more = zmq_msg_more(&frame);
            must(zmq_msg_send(&frame, router, more ? ZMQ_SNDMORE : 0), "zmq_msg_send");
        } while (more);
    }
}
