/* Receives what remote_thr pushes, checks it and says the rate. */
#include "zmq_side.h"

int main(int argc, char **argv)
{
    struct job job = parse_job(argc, argv);
    void *context = zmq_ctx_new(), *pull = make_socket(context, ZMQ_PULL);
    bind_and_say(pull, job.endpoint);
    receive_stream(pull, &job);
    zmq_close(pull);
    zmq_ctx_term(context);
    return 0;
}
