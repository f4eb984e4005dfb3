/* Replies to remote_lat until it is ended. */
#include "zmq_side.h"

int main(int argc, char **argv)
{
    struct job job = parse_job(argc, argv);
    void *context = zmq_ctx_new(), *rep = make_socket(context, ZMQ_REP);
    bind_and_say(rep, job.endpoint);
    echo(rep);
    return 0;
}
