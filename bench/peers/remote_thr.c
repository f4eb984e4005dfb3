/* Pushes to local_thr for a given time. */
#include "zmq_side.h"

int main(int argc, char **argv)
{
    struct job job = parse_job(argc, argv);
    void *context = zmq_ctx_new(), *push = make_socket(context, ZMQ_PUSH);
    must(zmq_connect(push, job.endpoint), "zmq_connect");
    send_stream(push, &job);
    wait_told();
    zmq_close(push);
    zmq_ctx_term(context);
    return 0;
}
