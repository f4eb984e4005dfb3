/* A new REQ, one request, its reply, and closed: again and again. */
#include "zmq_side.h"

#define MOST 500

int main(int argc, char **argv)
{
    struct job job = parse_job(argc, argv);
    void *context = zmq_ctx_new();
    unsigned char *request = malloc(job.size), *reply = malloc(job.size);
    if (!request || !reply)
        fail("no memory");
    memset(request, '.', job.size);
    stamp(request, RUN, 0);
    struct samples samples = {0};
    double deadline = now() + job.seconds;
    while (samples.have < MOST && (now() < deadline || samples.have < 3)) {
        double start = now();
        void *req = make_socket(context, ZMQ_REQ);
        must(zmq_connect(req, job.endpoint), "zmq_connect");
        must(zmq_send(req, request, job.size, 0), "zmq_send");
        int size = zmq_recv(req, reply, job.size, 0);
        add_sample(&samples, 1e6 * (now() - start));
        if (size != (int)job.size || memcmp(reply, request, job.size))
            fail("a reply is not that to the request");
        zmq_close(req);
    }
    samples.at[0] = samples.at[samples.have - 1]; /* the first warms up */
    samples.have--;
    say_samples(&samples);
    zmq_ctx_term(context);
    return 0;
}
