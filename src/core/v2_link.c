/* Links: running a stack of layers in both directions, and what a layer may
 * ask of its link. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_link.h"
#include "v2_child.h"
#include "v2_log.h"
#include "v2_time.h"

static v2_int_t v2_link_in(v2_link_t *l, unsigned i);
static v2_chain_t *v2_link_above(v2_link_t *l, unsigned i);
static v2_layer_t *v2_link_secure(v2_link_t *l, unsigned i);
static v2_int_t v2_link_settle(v2_link_t *l, v2_int_t rc);
static v2_int_t v2_link_out(v2_link_t *l, unsigned i);
static v2_int_t v2_link_add(v2_link_t *l, const v2_codec_t *codec);
static void v2_link_bill(v2_layer_t *ly, v2_chain_t *wire);
static void v2_link_on_timer(v2_timer_t *t);


v2_int_t
v2_link_open(v2_link_t *l, v2_worker_t *w, v2_layer_t *layers,
    unsigned max, const v2_codec_t *const *codecs, unsigned n,
    v2_link_view_t *view)
{
    unsigned  i;

    l->worker = w;
    l->view = view;
    l->layers = layers;
    l->layers_max = (uint8_t) max;
    v2_chain_init(&l->app);
    v2_chain_init(&l->direct);
    v2_queue_init(&l->posted);

    for (i = 0; i < n; i++) {
        if (v2_link_add(l, codecs[i]) != V2_OK) {
            return V2_ERROR;
        }
    }

    l->open = 1;

    return V2_OK;
}


v2_int_t
v2_link_push(v2_link_t *l, const v2_codec_t *codec)
{
    return l->layers_n < l->layers_max ? v2_link_add(l, codec) : V2_ERROR;
}


static v2_int_t
v2_link_add(v2_link_t *l, const v2_codec_t *codec)
{
    v2_layer_t  *ly;

    ly = &l->layers[l->layers_n];
    memset(ly, 0, sizeof(*ly));
    ly->codec = codec;
    ly->link = l;
    ly->timer.fire = v2_link_on_timer;
    v2_chain_init(&ly->wire);
    v2_chain_init(&ly->app);

    if (codec->state_size) {
        ly->state = calloc(1, codec->state_size);
        if (ly->state == NULL) {
            return V2_ERROR;
        }
    }

    if (codec->open && codec->open(ly) != V2_OK) {
        free(ly->state);
        ly->state = NULL;
        return V2_ERROR;
    }

    l->layers_n++;

    return V2_OK;
}


void
v2_link_close(v2_link_t *l)
{
    unsigned     i;
    v2_layer_t  *ly;

    for (i = 0; i < l->layers_n; i++) {
        ly = &l->layers[i];
        v2_timer_del(&ly->timer);

        if (ly->codec->close) {
            ly->codec->close(ly);
        }

        v2_chain_free(&ly->wire);
        v2_chain_free(&ly->app);
        free(ly->state);
        ly->state = NULL;
    }

    l->layers_n = 0;
    v2_chain_free(&l->app);
    v2_chain_free(&l->direct);
    v2_queue_del(&l->posted);
}


void
v2_link_strip(v2_link_t *l)
{
    unsigned  i;

    for (i = 0; i < l->layers_n; i++) {
        v2_chain_free(&l->layers[i].wire);
        l->layers[i].in_gone = 1;
        l->layers[i].out_gone = 1;
        v2_timer_del(&l->layers[i].timer);
    }
}


v2_int_t
v2_link_input(v2_link_t *l, v2_buf_t *b, uint32_t n)
{
    v2_chain_t  *c;
    v2_slice_t  *s;

    c = v2_link_above(l, UINT32_MAX);

    s = v2_chain_add(c, b, V2_BUF_HEAD, n, 0);
    if (s == NULL) {
        v2_buf_put(b);
        return V2_ERROR;
    }

    return v2_link_run(l);
}


v2_int_t
v2_link_fin(v2_link_t *l)
{
    v2_link_above(l, UINT32_MAX)->fin = 1;

    return v2_link_run(l);
}


v2_int_t
v2_link_run(v2_link_t *l)
{
    l->again_in = 0;

    if (l->view) {
        l->view->now_ms = v2_now_ms();
    }

    return v2_link_settle(l, v2_link_in(l, 0));
}


/* Runs layer i and all above it until there is no more input for them. */
static v2_int_t
v2_link_in(v2_link_t *l, unsigned i)
{
    v2_int_t     rc, up;
    unsigned     done;
    v2_chain_t   app, *dst;
    v2_layer_t  *ly;

    while (i < l->layers_n && l->layers[i].in_gone) {
        i++;
    }

    if (i >= l->layers_n) {
        return V2_OK;
    }

    ly = &l->layers[i];
    done = 0;

    if ((ly->codec->flags & V2_CODEC_MUX) && l->sess->phase != V2_SESS_MUX) {
        return V2_OK;                   /* no children before admission */
    }

    for ( ;; ) {
        v2_chain_init(&app);
        rc = ly->codec->in(ly, &ly->wire, &app);

        if (rc == V2_PASS || rc == V2_DIRECT) {
            v2_chain_move(&app, &ly->wire);
            ly->in_gone = 1;
        }

        if (rc == V2_DIRECT) {
            v2_link_secure(l, i)->in_gone = 1;
            rc = V2_PASS;
        }

        dst = v2_link_above(l, i);

        if (app.head || app.fin) {
            v2_chain_move(dst, &app);
        }

        if (rc == V2_ERROR || rc == V2_DECLINED || rc == V2_TARGET) {
            return rc;
        }

        up = v2_link_in(l, i + 1);

        if (up == V2_DONE) {
            done = 1;

        } else if (up != V2_OK) {
            return up;
        }

        if (ly->in_gone && rc != V2_PASS) {

            /* a layer above took this one out: the rest is not sealed */

            v2_chain_move(v2_link_above(l, i), &ly->wire);
            rc = V2_PASS;
        }

        switch (rc) {

        case V2_OK:
            continue;

        case V2_DONE:
            l->done = 1;
            done = 1;
            continue;

        case V2_PASS:
            return done ? V2_DONE : V2_OK;

        case V2_YIELD:
            return V2_YIELD;

        default:        /* V2_AGAIN */

            if (ly->wire.fin && !dst->fin) {
                dst->fin = 1;
                up = v2_link_in(l, i + 1);

                if (up != V2_OK && up != V2_DONE) {
                    return up;
                }
            }

            return done ? V2_DONE : V2_OK;
        }
    }
}


/* Where the output of layer i goes: the input of the next layer that is still
 * in the stack, else the application side. i UINT32_MAX: input of the link. */
static v2_chain_t *
v2_link_above(v2_link_t *l, unsigned i)
{
    for (i++; i < l->layers_n; i++) {
        if (!l->layers[i].in_gone) {
            return &l->layers[i].wire;
        }
    }

    return &l->app;
}


/* The secure layer below layer i, which asked to go on without it. */
static v2_layer_t *
v2_link_secure(v2_link_t *l, unsigned i)
{
    while (i-- > 0) {
        if (l->layers[i].codec->flags & V2_CODEC_SECURE) {
            return &l->layers[i];
        }
    }

    v2_assert(!"DIRECT without a secure layer");

    return &l->layers[0];
}


/* What a layer keeps until more comes must not stay in ring buffers. */
static v2_int_t
v2_link_settle(v2_link_t *l, v2_int_t rc)
{
    unsigned  i;

    for (i = 0; i < l->layers_n; i++) {
        if (l->layers[i].wire.head
            && v2_chain_spill(&l->layers[i].wire) != V2_OK)
        {
            return V2_ERROR;
        }
    }

    if (rc == V2_YIELD) {
        l->again_in = 1;
        v2_link_post(l);
    }

    return rc;
}


void
v2_link_output(v2_link_t *l, v2_chain_t *c)
{
    v2_chain_move(v2_link_below(l, l->layers_n), c);
    v2_link_post(l);
}


void
v2_link_end(v2_link_t *l)
{
    if (l->ended) {
        return;
    }

    l->ended = 1;
    v2_link_below(l, l->layers_n)->fin = 1;
    v2_link_post(l);
}


void
v2_link_post(v2_link_t *l)
{
    if (v2_queue_empty(&l->posted)) {
        v2_queue_add_tail(&l->worker->posted, &l->posted);
    }
}


v2_int_t
v2_link_flush(v2_link_t *l)
{
    unsigned  i;
    v2_int_t  rc;

    if (l->view) {
        l->view->now_ms = v2_now_ms();
    }

    for (i = l->layers_n; i > 0; i--) {
        rc = v2_link_out(l, i - 1);

        if (rc == V2_YIELD) {
            v2_conn_flush(&l->conn);
            v2_link_post(l);
            return V2_YIELD;
        }

        if (rc != V2_OK) {
            l->failed = 1;
            v2_conn_flush(&l->conn);
            return V2_ERROR;
        }
    }

    v2_conn_flush(&l->conn);

    return V2_OK;
}


/* Runs one layer over all that waits above it. */
static v2_int_t
v2_link_out(v2_link_t *l, unsigned i)
{
    v2_int_t     rc;
    v2_chain_t   wire, *dst;
    v2_layer_t  *ly;

    ly = &l->layers[i];

    if (ly->out_gone) {
        return V2_OK;
    }

    if (ly->codec->flags & V2_CODEC_MUX) {
        return v2_child_pull(l, i);
    }

    while (ly->app.head) {
        v2_chain_init(&wire);
        rc = ly->codec->out(ly, &ly->app, &wire);

        if (rc == V2_ERROR || rc == V2_YIELD) {
            v2_link_bill(ly, &wire);
            v2_chain_move(v2_link_below(l, i), &wire);
            return rc;
        }

        v2_link_bill(ly, &wire);
        dst = v2_link_below(l, i);
        v2_chain_move(dst, &wire);

        if (rc == V2_PASS) {
            ly->out_gone = 1;
            v2_chain_move(dst, &ly->app);
            return V2_OK;
        }

        if (rc == V2_DIRECT) {
            ly->out_gone = 1;
            v2_link_secure(l, i)->out_last = 1;
            v2_chain_move(&l->direct, &ly->app);
            return V2_OK;
        }

        if (rc == V2_AGAIN) {
            break;
        }
    }

    if (ly->out_last && ly->app.head == NULL) {
        ly->out_gone = 1;
        v2_chain_move(v2_link_below(l, i), &l->direct);
        return V2_OK;
    }

    if (ly->app.fin && ly->app.head == NULL) {
        v2_chain_init(&wire);

        if (ly->codec->end) {
            (void) ly->codec->end(ly, &wire);
        }

        ly->out_gone = 1;
        wire.fin = 1;
        v2_link_bill(ly, &wire);
        v2_chain_move(v2_link_below(l, i), &wire);
    }

    return V2_OK;
}


/* The app chain of the next layer down that is still in the stack, else the
 * queue of the socket. */
v2_chain_t *
v2_link_below(v2_link_t *l, unsigned i)
{
    int  top;

    top = i == l->layers_n;

    while (i-- > 0) {
        if (!l->layers[i].out_gone) {
            return top && l->layers[i].out_last ? &l->direct
                                                : &l->layers[i].app;
        }
    }

    return &l->conn.out;
}


static void
v2_link_bill(v2_layer_t *ly, v2_chain_t *wire)
{
    ly->owed += ly->app.taken;
    ly->app.taken = 0;

    if (ly->owed && wire->last) {

        /* counted when the last byte of the record went */

        wire->last->bill += (uint32_t) ly->owed;
        wire->last->linear = 0;
        ly->owed = 0;
    }
}


size_t
v2_link_queued(const v2_link_t *l)
{
    size_t    n;
    unsigned  i;

    n = l->conn.out.bytes + l->direct.bytes;

    for (i = 0; i < l->layers_n; i++) {
        n += l->layers[i].app.bytes;
    }

    return n;
}


int
v2_link_bare(const v2_link_t *l)
{
    unsigned  i;

    for (i = 0; i < l->layers_n; i++) {
        if (!l->layers[i].in_gone || !l->layers[i].out_gone) {
            return 0;
        }
    }

    return 1;
}


static void
v2_link_on_timer(v2_timer_t *t)
{
    v2_layer_t  *ly;

    ly = v2_containerof(t, v2_layer_t, timer);

    if (ly->link->view) {
        ly->link->view->now_ms = v2_now_ms();
    }

    if (ly->codec->wake && ly->codec->wake(ly) == V2_ERROR) {
        v2_sess_close(ly->link->sess, 0, V2_LOG_INFO, 0,
                      ly->link->view->req.why ? ly->link->view->req.why
                                              : "a layer gave up");
    }
}


/* --- what a layer sees of its link --- */

v2_link_view_t *
v2_layer_view(v2_layer_t *ly)
{
    return ly->link->view;
}


void
v2_layer_emit(v2_layer_t *ly, v2_chain_t *wire)
{
    unsigned  i;

    i = (unsigned) (ly - ly->link->layers);
    v2_chain_move(v2_link_below(ly->link, i), wire);
    v2_link_post(ly->link);
}


void
v2_layer_timer(v2_layer_t *ly, uint64_t at_ms)
{
    if (at_ms == 0) {
        v2_timer_del(&ly->timer);
        return;
    }

    (void) v2_timer_add(&ly->timer, at_ms);
}


v2_buf_t *
v2_layer_buf(v2_layer_t *ly, size_t size)
{
    unsigned   group;
    v2_buf_t  *b;

    (void) ly;

    for (group = V2_BUF_HAND; group < V2_BUF_GROUPS; group++) {
        if (size <= v2_buf_size(group)) {
            b = v2_buf_get(group);

            if (b) {
                return b;
            }
        }
    }

    return NULL;
}


v2_int_t
v2_layer_user(v2_layer_t *ly, const uint8_t *cred, unsigned len)
{
    v2_req_t     *req;
    v2_worker_t  *w;

    w = ly->link->worker;
    req = &ly->link->view->req;

    return w->meter->find(w->shm, ly->link->view->slot, cred, len, &req->key,
                          &req->account, &req->gen);
}
