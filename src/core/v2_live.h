/* An image as one worker uses it: mapped, with TLS contexts and the codec
 * stack of every node. A session holds a reference to the one it began with,
 * so that a new image leaves open connections alone. */

#ifndef V2_LIVE_H
#define V2_LIVE_H

#include "v2_codec.h"
#include "v2_image.h"
#include "v2_link.h"
#include "v2_queue.h"
#include "v2_shm.h"

typedef struct {
    const v2_inode_t   *node;
    const char         *tag;
    const v2_codec_t   *codecs[V2_LINK_LAYERS];     /* nearest the wire first */
    unsigned            codecs_n;
    v2_tls_ctx_t       *tls;                        /* NULL without TLS */
} v2_live_node_t;

struct v2_live_s {
    v2_queue_t          queue;          /* w->lives: only sessions use it */
    const v2_image_t   *image;
    uint32_t            serial;
    uint32_t            refs;           /* sessions */
    const void         *route;          /* NULL: no rules */
    v2_live_node_t     *nodes;
    uint32_t            nodes_n;
    uint16_t            slots[V2_SHM_NODES];        /* number + 1, 0: none */
};

/* The node of a slot, or NULL. */
v2_live_node_t  *v2_live_node(v2_live_t *live, uint32_t slot);
void             v2_live_ref(v2_live_t *live);
/* The last reference of an image that is not current frees it. */
void             v2_live_unref(v2_worker_t *w, v2_live_t *live);

#endif
