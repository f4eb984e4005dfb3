/* Asks local_lat, and says how long the replies took. */
#include "zmq_side.h"

int main(int argc, char **argv)
{
    struct job job = parse_job(argc, argv);
    void *context = zmq_ctx_new(), *req = make_socket(context, ZMQ_REQ);
    must(zmq_connect(req, job.endpoint), "zmq_connect");
    ask_and_say(req, &job);
    wait_told();
    zmq_close(req);
    zmq_ctx_term(context);
    return 0;
}
