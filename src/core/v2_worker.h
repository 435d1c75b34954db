/* One worker: what its parts share, and what its process frame (v2_worker.c)
 * calls in the engine part. Runs unprivileged; the ring is made before the
 * rights are dropped. */

#ifndef V2_WORKER_H
#define V2_WORKER_H

#include "v2_channel.h"
#include "v2_meter.h"
#include "v2_queue.h"
#include "v2_resolve.h"
#include "v2_ring.h"
#include "v2_router.h"
#include "v2_timer.h"

struct v2_worker_s {
    unsigned             index;             /* and its row block in shm */
    v2_shm_t            *shm;
    v2_shm_proc_t       *proc;
    v2_ring_t           *ring;
    v2_resolve_t        *resolve;
    const v2_meter_t    *meter;
    const v2_router_t   *router;
    uint64_t             memory_limit;      /* bytes of MEM buffers */

    /* engine part, v2_live.c, v2_listen.c, v2_sess.c */
    v2_live_t           *live;              /* committed image, or NULL */
    v2_live_t           *pending;           /* prepared, not committed */
    v2_queue_t           lives;             /* older ones with sessions */
    v2_queue_t           listens;
    v2_queue_t           sessions;
    v2_queue_t           posted;            /* links to flush this turn */
    v2_queue_t           children;          /* of mux layers, with news */
    v2_queue_t           parks;             /* UDP sockets, v2_park.c */
    v2_queue_t           dead;              /* freed at the end of the turn */
    uint32_t             parks_n;
    uint32_t             sessions_n;        /* client connections open */
    uint64_t             number;            /* last connection number */
    uint32_t             cut_seen;          /* shm->cut handled */
    v2_timer_t           accept_retry;
    v2_timer_t           spill;             /* looks at sends that wait */
    unsigned             draining:1;
    unsigned             fd_warned:1;
};

/* --- engine part, in the order in which the frame calls them --- */

/* After worker fields up to memory_limit are set. */
v2_int_t  v2_engine_init(v2_worker_t *w);
/* MSG_IMAGE: maps the image, builds contexts. Takes over fd. V2_ERROR: one
 * line in why. */
v2_int_t  v2_live_prepare(v2_worker_t *w, int fd, char *why, size_t size);
/* MSG_LISTEN: takes over fd; accepts once its node is in the committed image.
 * MSG_UNLISTEN closes it. */
void      v2_listen_add(v2_worker_t *w, uint32_t node, uint32_t j, int fd,
    int udp);
void      v2_listen_del(v2_worker_t *w, uint32_t node, uint32_t j);
void      v2_live_commit(v2_worker_t *w, uint32_t serial);
void      v2_live_drop(v2_worker_t *w, uint32_t serial);
/* End of each loop turn: flushes what was posted, frees what died. */
void      v2_engine_turn(v2_worker_t *w);
/* Once a second, and at once when shm->cut changed: closes flows of removed
 * users, writes idle times. */
void      v2_engine_tick(v2_worker_t *w);
/* MSG_QUIT: closes the listeners; sessions go on. w->sessions_n tells when
 * the worker may end. */
void      v2_engine_drain(v2_worker_t *w);
/* MSG_STOP or the end of the drain time: closes all sessions at once. Needs
 * turns of the loop until sessions_n is 0 (at most 1 s). */
void      v2_engine_stop(v2_worker_t *w);

#endif
