/* A link: a base (here: a socket) and a stack of layers, layers[0] nearest the
 * wire. Input runs up, output runs down, one unit a call, so that a layer may
 * leave the stack at an exact byte.
 *
 * Invariants
 *  1. Nothing here calls into the session: v2_link_input() and the rest only
 *     move bytes and tell by their result what happened.
 *  2. After a run, bytes that a layer could not use yet are in memory of their
 *     own (v2_chain_spill), never in a ring buffer.
 *  3. DIRECT takes two layers out: the caller, and the secure layer below it
 *     at the same unit. Going in, what that layer has not opened yet goes on
 *     as it is; going out, it leaves when all above it has been sealed.
 *  4. Payload taken by a layer going out is billed to the last slice that the
 *     layer emits for it. */

#ifndef V2_LINK_H
#define V2_LINK_H

#include "v2_codec.h"
#include "v2_conn.h"
#include "v2_worker.h"

#define V2_LINK_LAYERS      4

struct v2_link_s {
    v2_conn_t         conn;
    v2_sess_t        *sess;
    v2_worker_t      *worker;
    v2_link_view_t   *view;             /* NULL on the remote side */
    v2_chain_t        app;              /* input with all layers removed */
    v2_chain_t        direct;           /* output behind a DIRECT, until the
                                         * secure layer below has sent all */
    v2_queue_t        posted;           /* to be flushed this turn */
    v2_layer_t       *layers;
    uint8_t           layers_n, layers_max;
    unsigned          done:1;           /* the PROXY layer said DONE */
    unsigned          ended:1;          /* the app side ended, end() called */
    unsigned          open:1;           /* layers were opened */
    unsigned          retry:1;          /* a layer yielded: again next turn */
    unsigned          failed:1;         /* output failed */
    unsigned          again_in:1;       /* ... of input */
};

/* The layers array (`max` elements) lives as long as the link. States are
 * allocated here. V2_ERROR: no memory. */
v2_int_t  v2_link_open(v2_link_t *l, v2_worker_t *w, v2_layer_t *layers,
    unsigned max, const v2_codec_t *const *codecs, unsigned n,
    v2_link_view_t *view);
void      v2_link_close(v2_link_t *l);          /* layers and chains */
/* A layer more at the top: the place of an unused element of layers[]. */
v2_int_t  v2_link_push(v2_link_t *l, const v2_codec_t *codec);
/* Where output of layer i goes: input of the next one down, or the socket. */
v2_chain_t *v2_link_below(v2_link_t *l, unsigned i);
/* All layers leave, both ways; what they had not opened is dropped. */
void      v2_link_strip(v2_link_t *l);

/* Bytes from the wire: takes over the reference of b. fin: the peer's end.
 * V2_OK, V2_DONE (once, link->done), V2_YIELD (call v2_link_run later),
 * V2_DECLINED or V2_ERROR (view->req.why says why). What came is in l->app. */
v2_int_t  v2_link_input(v2_link_t *l, v2_buf_t *b, uint32_t n);
v2_int_t  v2_link_fin(v2_link_t *l);
v2_int_t  v2_link_run(v2_link_t *l);

/* Output of the application side: moves all of c. The bytes reach the conn's
 * queue in v2_link_flush() at the end of the turn. */
void      v2_link_output(v2_link_t *l, v2_chain_t *c);
void      v2_link_end(v2_link_t *l);            /* nothing follows */
/* V2_OK, V2_YIELD (posted again), V2_ERROR. */
v2_int_t  v2_link_flush(v2_link_t *l);
void      v2_link_post(v2_link_t *l);

/* Bytes that wait to be sent, in layers and in the conn. */
size_t    v2_link_queued(const v2_link_t *l);
/* 1: no layer is left in either direction. */
int       v2_link_bare(const v2_link_t *l);

#endif
