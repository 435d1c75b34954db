/* Images in a worker: prepare, commit, drop, and their references. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_live.h"
#include "v2_listen.h"
#include "v2_log.h"
#include "v2_spec.h"
#include "v2_tls.h"
#include "v2_worker.h"

#include <unistd.h>

static v2_int_t v2_live_build(v2_live_t *live, char *why, size_t size);
static v2_int_t v2_live_stack(v2_live_node_t *n, const v2_image_t *im,
    char *why, size_t size);
static void v2_live_free(v2_live_t *live);


v2_int_t
v2_live_prepare(v2_worker_t *w, int fd, char *why, size_t size)
{
    v2_live_t         *live;
    const v2_image_t  *im;

    im = v2_image_open(fd);
    (void) close(fd);

    if (im == NULL) {
        (void) snprintf(why, size, "the image is damaged");
        return V2_ERROR;
    }

    live = calloc(1, sizeof(*live));
    if (live == NULL) {
        v2_image_close(im);
        (void) snprintf(why, size, "out of memory");
        return V2_ERROR;
    }

    v2_queue_init(&live->queue);
    live->image = im;
    live->serial = im->serial;

    if (im->route.len) {
        live->route = v2_image_at(im, im->route);

        if (w->router->check(live->route, im->route.len) != V2_OK) {
            (void) snprintf(why, size, "the compiled rules are damaged");
            v2_live_free(live);
            return V2_ERROR;
        }
    }

    if (v2_live_build(live, why, size) != V2_OK) {
        v2_live_free(live);
        return V2_ERROR;
    }

    if (w->pending) {
        v2_live_free(w->pending);
    }

    w->pending = live;

    return V2_OK;
}


void
v2_live_commit(v2_worker_t *w, uint32_t serial)
{
    v2_live_t  *old;

    if (w->pending == NULL || w->pending->serial != serial) {
        v2_log(V2_LOG_ALERT, NULL, 0,
               "commit of image %" PRIu32 " which is not there", serial);
        return;
    }

    old = w->live;
    w->live = w->pending;
    w->pending = NULL;

    if (old) {
        if (old->refs == 0) {
            v2_live_free(old);

        } else {
            v2_queue_add_tail(&w->lives, &old->queue);
        }
    }

    v2_listen_start(w);
}


void
v2_live_drop(v2_worker_t *w, uint32_t serial)
{
    if (w->pending && w->pending->serial == serial) {
        v2_live_free(w->pending);
        w->pending = NULL;
    }
}


v2_live_node_t *
v2_live_node(v2_live_t *live, uint32_t slot)
{
    if (live == NULL || slot >= V2_SHM_NODES || live->slots[slot] == 0) {
        return NULL;
    }

    return &live->nodes[live->slots[slot] - 1];
}


void
v2_live_ref(v2_live_t *live)
{
    live->refs++;
}


void
v2_live_unref(v2_worker_t *w, v2_live_t *live)
{
    live->refs--;

    if (live->refs == 0 && live != w->live) {
        v2_live_free(live);
    }
}


static v2_int_t
v2_live_build(v2_live_t *live, char *why, size_t size)
{
    uint32_t           i;
    v2_live_node_t    *n;
    const v2_image_t  *im;

    im = live->image;

    live->nodes = calloc(im->nodes_n ? im->nodes_n : 1, sizeof(*n));
    if (live->nodes == NULL) {
        (void) snprintf(why, size, "out of memory");
        return V2_ERROR;
    }

    for (i = 0; i < im->nodes_n; i++) {
        n = &live->nodes[i];
        n->node = &v2_image_nodes(im)[i];
        n->tag = v2_image_at(im, n->node->tag);
        live->nodes_n = i + 1;

        if (n->node->node >= V2_SHM_NODES) {
            (void) snprintf(why, size, "node slot out of range");
            return V2_ERROR;
        }

        if (v2_live_stack(n, im, why, size) != V2_OK) {
            return V2_ERROR;
        }

        live->slots[n->node->node] = (uint16_t) (i + 1);
    }

    return V2_OK;
}


/* The layers of a node, nearest the wire first. */
static v2_int_t
v2_live_stack(v2_live_node_t *n, const v2_image_t *im, char *why, size_t size)
{
    const v2_codec_t  *c;

    if (n->node->security == V2_SEC_TLS) {
        n->tls = v2_tls_ctx_create(im, n->node, why, size);
        if (n->tls == NULL) {
            return V2_ERROR;
        }

        n->codecs[n->codecs_n++] = &v2_tls_codec;
    }

    if (strcmp(n->node->network, "tcp") != 0) {
        c = v2_codec_find(n->node->network);
        if (c == NULL) {
            (void) snprintf(why, size, "node %" PRIu32 ": network \"%s\" is "
                            "not built yet", n->node->node_id,
                            n->node->network);
            return V2_ERROR;
        }

        n->codecs[n->codecs_n++] = c;
    }

    c = v2_codec_find(n->node->protocol);
    if (c == NULL || !(c->flags & V2_CODEC_PROXY)) {
        (void) snprintf(why, size, "node %" PRIu32 ": protocol \"%s\" is not "
                        "built yet", n->node->node_id, n->node->protocol);
        return V2_ERROR;
    }

    n->codecs[n->codecs_n++] = c;

    return V2_OK;
}


static void
v2_live_free(v2_live_t *live)
{
    uint32_t  i;

    for (i = 0; i < live->nodes_n; i++) {
        if (live->nodes[i].tls) {
            v2_tls_ctx_destroy(live->nodes[i].tls);
        }
    }

    v2_queue_del(&live->queue);
    free(live->nodes);
    v2_image_close(live->image);
    free(live);
}
