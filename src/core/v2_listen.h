/* Listening sockets of one worker: accepting while the node is in the
 * committed image, pausing at the limit of file descriptors. */

#ifndef V2_LISTEN_H
#define V2_LISTEN_H

#include "v2_ring.h"
#include "v2_worker.h"

struct v2_listen_s {
    v2_queue_t     queue;
    v2_worker_t   *worker;
    uint32_t       node, j;         /* slot, number among its sockets */
    int            fd;
    v2_op_t        op;
    unsigned       udp:1;
    unsigned       paused:1;        /* out of descriptors */
    unsigned       closing:1;
};

/* Arms all sockets whose node is in the committed image, and that are not
 * armed already. */
void  v2_listen_start(v2_worker_t *w);
/* A descriptor became free: those that paused go on. */
void  v2_listen_resume(v2_worker_t *w);
void  v2_listen_close_all(v2_worker_t *w);

#endif
