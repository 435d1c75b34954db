/* XTLS Vision, server side (protocols.md 2): the flow of VLESS that pads the
 * first part of both directions and then, when TLS 1.3 runs inside, goes on
 * without the outer TLS. Called by the VLESS codec; knows chains, no layer.
 *
 * The two directions are independent but for what the filter saw: it looks at
 * the first 8 pieces of both to learn what runs inside. */

#ifndef V2_VISION_H
#define V2_VISION_H

#include "v2_buf.h"

#define V2_VISION_FLOW      "xtls-rprx-vision"
#define V2_VISION_ID        16
#define V2_VISION_TLS       0x0304      /* what the outer TLS must be */
#define V2_VISION_FRONT     32          /* at most before the first block */

typedef struct {                        /* where a stream of records stands */
    uint8_t     head[5];
    uint8_t     n;                      /* bytes of the header that came */
    uint16_t    left;                   /* of the body */
    unsigned    lost:1;                 /* these are no records */
    unsigned    other:1;                /* some are not of data */
} v2_vision_rec_t;

typedef struct {
    uint8_t     id[V2_VISION_ID];       /* the user's, as the client sent it */

    /* the filter */
    uint8_t     left;                   /* pieces it will look at */
    unsigned    is_tls:1;               /* a hello was seen */
    unsigned    tls12up:1;              /* the server's was */
    unsigned    xtls:1;                 /* TLS 1.3 that may go direct */
    uint16_t    cipher;
    int32_t     hello_left;             /* of the server's hello */

    /* going in */
    uint8_t     state;
    uint8_t     command;                /* of the block being read */
    uint16_t    content, padding;       /* left of it */

    /* going out: a write is what waited when its first piece was cut */
    unsigned    whole:1;                /* it is made of whole records */
    unsigned    longer:1;               /* its pieces get the long padding */
    unsigned    closing:1;              /* its last piece ends the padding */
    uint16_t    half;                   /* second half of a full piece */
    size_t      write;                  /* left of it */
    size_t      sent;                   /* by all writes, at least */
    v2_vision_rec_t  rec;
} v2_vision_t;

void      v2_vision_init(v2_vision_t *v, const uint8_t *id);

/* What there is of blocks, to content. V2_OK, V2_AGAIN, V2_PASS: nothing but
 * content follows; V2_DIRECT: nor does it come through the secure layer;
 * V2_ERROR: no block. */
v2_int_t  v2_vision_in(v2_vision_t *v, v2_chain_t *wire, v2_chain_t *app);

/* One block, whose last slice has `end` set; `front` goes before it. V2_OK,
 * V2_YIELD: no memory, nothing was taken; V2_PASS and V2_DIRECT: it was the
 * last one. */
v2_int_t  v2_vision_out(v2_vision_t *v, v2_chain_t *app, v2_chain_t *wire,
    const uint8_t *front, size_t len);

#endif
