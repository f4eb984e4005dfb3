/* Says which libzmq the programs link with; that it can be built says that there is one. */
#include <stdio.h>
#include <zmq.h>

int main(void)
{
    int major, minor, patch;
    zmq_version(&major, &minor, &patch);
    printf("%d.%d.%d\n", major, minor, patch);
    return 0;
}
