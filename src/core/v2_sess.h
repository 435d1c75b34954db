/* A session: one client connection, and once it named a user and a
 * destination, one proxied flow.
 *
 *   phase       waits for                            leaves to
 *   HANDSHAKE   the client's header                  RESOLVE, CONNECT, MUX,
 *                                                    CLOSED
 *   RESOLVE     addresses of the destination         CONNECT, CLOSED
 *   CONNECT     the remote's answer                  RELAY, CLOSED
 *   RELAY       bytes, ends, idle time               DRAIN, CLOSED
 *   MUX         frames of sub-connections            DRAIN, CLOSED
 *   DRAIN       the client taking what is queued     CLOSED
 *   CLOSED      completions of its sockets           freed
 *
 * Invariants
 *  1. The row in shared memory is held from admission until the memory goes,
 *     so that bytes which the kernel took while closing are still counted.
 *  2. Bytes for the remote that is not there yet are in memory of their own.
 *  3. A session never frees itself inside a handler: when it is CLOSED and
 *     `conns` is 0 it joins w->dead, freed at the end of the turn.
 *  4. A stranger (a layer's side connection became the remote) has no row: his
 *     bytes are counted on the node. */

#ifndef V2_SESS_H
#define V2_SESS_H

#include "v2_dial.h"
#include "v2_link.h"
#include "v2_live.h"
#include "v2_log.h"
#include "v2_worker.h"

enum {
    V2_SESS_HANDSHAKE, V2_SESS_RESOLVE, V2_SESS_CONNECT, V2_SESS_RELAY,
    V2_SESS_MUX, V2_SESS_DRAIN, V2_SESS_CLOSED
};

typedef struct {                        /* while resolving and connecting */
    v2_resolve_req_t      resolve;
    v2_dial_t             dial;
    v2_route_answer_t     answer;
    unsigned              asked:1;      /* the resolver has the question */
} v2_sess_dial_t;

typedef struct v2_sidelink_s  v2_sidelink_t;

struct v2_sess_s {
    v2_link_t             client;
    v2_link_t            *remote;       /* NULL before RELAY */
    v2_sidelink_t        *side;         /* NULL: none */
    v2_link_view_t        view;         /* of the client link */
    v2_worker_t          *worker;
    v2_live_t            *live;
    v2_live_node_t       *node;
    v2_sess_dial_t       *dial;         /* NULL but in RESOLVE and CONNECT */
    v2_queue_t            all;          /* w->sessions, then w->dead */
    v2_queue_t            turn;         /* w->children */
    v2_queue_t            children;     /* of a mux layer, by sibling */
    v2_queue_t            sibling;
    v2_sess_t            *parent;       /* of a child, else NULL */
    v2_child_t           *child;        /* of a child, else NULL */
    uint16_t              children_n;
    uint16_t              over_n;       /* children with much to send */
    v2_timer_t            timer;        /* handshake, idle, drain */
    v2_timer_t            pace;         /* end of a rate limit's pause */
    v2_addr_t             to;           /* the address in use */
    v2_addr_t             also;         /* UDP: another that rules allow */
    uint64_t              number;
    uint64_t              last_ms;
    uint64_t              start_ms;
    uint64_t              up, down;     /* payload counted */
    uint32_t              row;          /* V2_NONE before admission */
    uint8_t               phase;
    uint16_t              conns;        /* sockets, children not closed yet */
    unsigned              over:1;       /* of a child: in parent's over_n */
    unsigned              stranger:1;
    unsigned              reset:1;      /* DRAIN ends with a RST */
    const char           *action;       /* for log lines */
    v2_logctx_t           log;
    v2_layer_t            layers[];
};

/* A connection came in on a node. Takes over fd. */
void  v2_sess_accept(v2_worker_t *w, v2_live_t *live, v2_live_node_t *node,
    int fd);

/* For v2_child.c: a session with room for n layers, in HANDSHAKE, without a
 * client socket; ... that never began; the start of one whose destination is
 * known. */
v2_sess_t  *v2_sess_create(v2_worker_t *w, v2_live_t *live,
    v2_live_node_t *node, unsigned layers_n);
void  v2_sess_discard(v2_sess_t *s);
void  v2_sess_start(v2_sess_t *s);
void  v2_sess_conn_gone(v2_sess_t *s);
extern const v2_conn_ops_t  v2_sess_client_ops;

/* Ends both sides. level 0: no line; else one line "TEXT while ACTION".
 * err: errno or 0. how: bits below. */
#define V2_SESS_RST_CLIENT      1
#define V2_SESS_RST_REMOTE      2

void  v2_sess_close(v2_sess_t *s, unsigned how, unsigned level, int err,
    const char *text);
/* The client gets what is queued for it, then its connection ends; the remote
 * ends at once. */
void  v2_sess_drain(v2_sess_t *s, int reset);
void  v2_sess_free_dead(v2_worker_t *w);

/* The session of a socket, of either side. */
#define v2_sess_of(c)   (v2_containerof(c, v2_link_t, conn)->sess)

/* Runs the client's layers again: the side connection has news. */
void  v2_sess_again(v2_sess_t *s);
/* A socket of the session is closed. */
void  v2_sess_on_dead(v2_conn_t *c);
/* The remote is there: bytes may flow. Takes over the link (heap). */
void  v2_sess_relay(v2_sess_t *s, v2_link_t *remote);

/* v2_side.c: the layer's side connection becomes the remote. */
void  v2_side_target(v2_sess_t *s);
void  v2_side_abort(v2_sess_t *s);      /* the session ends */
void  v2_side_free(v2_sess_t *s);

/* v2_relay.c: moves what can be moved and arms the reads that may be armed. */
void  v2_relay_start(v2_sess_t *s);
void  v2_relay_pump(v2_sess_t *s);
void  v2_relay_want(v2_sess_t *s);
/* Every byte of these is payload. */
void  v2_relay_bill(v2_chain_t *c);
void  v2_relay_on_pace(v2_timer_t *t);
/* Handlers of the remote's socket, and of the client's after the handshake. */
extern const v2_conn_ops_t  v2_relay_remote_ops;
void  v2_relay_sent(v2_sess_t *s, unsigned way, size_t payload);
/* The session's deadline for its state: idle or half closed. */
void  v2_relay_arm_idle(v2_sess_t *s);

#endif
