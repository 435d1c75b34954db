/* Children of mux layers: opening, feeding, pulling, closing. Calls of a codec
 * only queue work; it is done at the end of the turn, so that a codec is never
 * called back from inside its own call. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_child.h"
#include "v2_time.h"

static void v2_child_on_flush(v2_conn_t *c);
static void v2_child_on_close(v2_conn_t *c);
static void v2_child_post(v2_sess_t *s);
static void v2_child_taken(v2_link_t *l);

static const v2_conn_base_t  v2_child_base = {
    .flush = v2_child_on_flush,
    .close = v2_child_on_close
};


v2_int_t
v2_layer_push(v2_layer_t *ly, const char *name)
{
    const v2_codec_t  *codec;

    codec = v2_codec_find(name);

    if (codec == NULL || !(codec->flags & V2_CODEC_MUX)) {
        return V2_ERROR;
    }

    return v2_link_push(ly->link, codec);
}


v2_child_t *
v2_child_open(v2_layer_t *ly, const v2_dest_t *dest, const uint8_t *id)
{
    v2_sess_t   *s, *parent;
    v2_child_t  *ch;

    parent = ly->link->sess;

    if (parent->children_n >= V2_CHILD_MAX || parent->phase != V2_SESS_MUX) {
        return NULL;
    }

    s = v2_sess_create(parent->worker, parent->live, parent->node, 0);
    ch = calloc(1, sizeof(*ch) + ly->codec->child_size);

    if (s == NULL || ch == NULL) {
        free(ch);

        if (s) {
            v2_sess_discard(s);
        }

        return NULL;
    }

    ch->layer = ly;
    ch->state = ch + 1;
    ch->owner = s;
    ch->out = &s->client.conn.out;

    if (id) {
        ch->has_id = 1;
        memcpy(ch->id, id, V2_CHILD_ID);
    }

    s->child = ch;
    s->parent = parent;
    s->row = parent->row;
    s->view.peer = parent->view.peer;
    s->view.req.key = parent->view.req.key;
    s->view.req.account = parent->view.req.account;
    s->view.req.gen = parent->view.req.gen;
    s->view.req.dest = *dest;

    v2_conn_init_base(&s->client.conn, &v2_child_base, &v2_sess_client_ops);
    (void) v2_link_open(&s->client, s->worker, NULL, 0, NULL, 0,
                        &s->view);

    parent->conns++;
    parent->children_n++;
    v2_queue_add_tail(&parent->children, &s->sibling);
    v2_child_post(s);

    return ch;
}


void
v2_child_feed(v2_child_t *ch, v2_chain_t *app)
{
    v2_sess_t  *s;

    s = ch->owner;

    if (s->phase >= V2_SESS_DRAIN) {
        v2_chain_free(app);
        return;
    }

    v2_chain_move(&s->client.app, app);
    v2_child_pressure(s);
    v2_child_post(s);
}


void
v2_child_fin(v2_child_t *ch)
{
    v2_sess_t  *s;

    s = ch->owner;
    s->client.app.fin = 1;
    s->client.conn.eof = 1;
    v2_child_post(s);
}


void
v2_child_close(v2_child_t *ch)
{
    ch->gone = 1;
    v2_child_post(ch->owner);
}


void
v2_child_turn(v2_worker_t *w)
{
    v2_sess_t   *s;
    v2_queue_t  *q;

    while (!v2_queue_empty(&w->children)) {
        q = w->children.next;
        v2_queue_del(q);
        s = v2_queue_data(q, v2_sess_t, turn);

        if (s->phase == V2_SESS_CLOSED) {
            if (s->client.conn.state == V2_CONN_CLOSING) {
                s->client.conn.state = V2_CONN_DEAD;
                v2_sess_on_dead(&s->client.conn);
            }

            continue;
        }

        if (s->child->gone) {
            v2_sess_close(s, 0, 0, 0, "closed by the client");
            continue;
        }

        if (s->phase == V2_SESS_HANDSHAKE) {
            v2_sess_start(s);
        }

        if (s->phase != V2_SESS_CLOSED) {
            v2_relay_pump(s);
        }
    }
}


v2_int_t
v2_child_pull(v2_link_t *l, unsigned i)
{
    v2_int_t     rc;
    v2_chain_t   wire;
    v2_layer_t  *ly;

    ly = &l->layers[i];
    rc = V2_AGAIN;

    while (v2_link_queued(l) < l->sess->live->image->buffer_bytes) {
        v2_chain_init(&wire);
        rc = ly->codec->out(ly, &ly->app, &wire);
        v2_chain_move(v2_link_below(l, i), &wire);

        if (rc != V2_OK) {
            break;
        }
    }

    v2_child_taken(l);

    return rc == V2_ERROR || rc == V2_YIELD ? rc : V2_OK;
}


void
v2_child_pressure(v2_sess_t *s)
{
    size_t      n;
    unsigned    over;
    v2_sess_t  *parent;

    parent = s->parent;
    n = s->client.app.bytes + (s->remote ? v2_link_queued(s->remote) : 0);
    over = s->phase < V2_SESS_DRAIN && n >= s->live->image->buffer_bytes;

    if (over == s->over) {
        return;
    }

    s->over = over;
    parent->over_n += over ? 1 : -1;

    if (parent->over_n == 0) {
        v2_relay_want(parent);
    }
}


void
v2_child_close_all(v2_sess_t *parent)
{
    v2_sess_t   *s;
    v2_queue_t  *q, *next;

    for (q = parent->children.next; q != &parent->children; q = next) {
        next = q->next;
        s = v2_queue_data(q, v2_sess_t, sibling);
        s->child->layer = NULL;
        v2_sess_close(s, 0, 0, 0, "its connection ended");
    }
}


/* The session's memory goes; the parent may go after it. */
void
v2_child_free(v2_sess_t *s)
{
    v2_sess_t  *parent;

    parent = s->parent;
    v2_queue_del(&s->sibling);
    v2_queue_del(&s->turn);
    parent->children_n--;
    free(s->child);
    s->child = NULL;
    s->parent = NULL;
    v2_sess_conn_gone(parent);
}


/* The remote's bytes wait in the child's queue until the mux layer pulls. */
static void
v2_child_on_flush(v2_conn_t *c)
{
    v2_sess_t   *s;
    v2_child_t  *ch;

    s = v2_sess_of(c);
    ch = s->child;

    if (ch->layer == NULL || ch->gone || (c->out.head == NULL && !c->out.fin))
    {
        return;
    }

    if (!ch->listed) {
        ch->listed = 1;
        ch->layer->codec->child(ch->layer, ch, V2_CHILD_OUTPUT);
    }

    v2_link_post(&s->parent->client);
}


static void
v2_child_on_close(v2_conn_t *c)
{
    v2_sess_t   *s;
    v2_child_t  *ch;

    s = v2_sess_of(c);
    ch = s->child;

    if (ch->layer && !ch->gone) {
        ch->layer->codec->child(ch->layer, ch,
                                c->shut ? V2_CHILD_DONE : V2_CHILD_FAILED);
        v2_link_post(&s->parent->client);
    }

    ch->layer = NULL;

    v2_child_pressure(s);
    v2_child_post(s);
}


static void
v2_child_post(v2_sess_t *s)
{
    if (v2_queue_empty(&s->turn)) {
        v2_queue_add_tail(&s->worker->children, &s->turn);
    }
}


/* Children whose output was pulled may read their remote again; one whose end
 * was pulled is shut. */
static void
v2_child_taken(v2_link_t *l)
{
    v2_sess_t   *s;
    v2_queue_t  *q, *next;

    for (q = l->sess->children.next; q != &l->sess->children; q = next) {
        next = q->next;
        s = v2_queue_data(q, v2_sess_t, sibling);

        if (s->phase != V2_SESS_RELAY || !s->child->listed) {
            continue;
        }

        if (s->client.conn.out.head == NULL) {
            s->child->listed = 0;
            s->client.conn.shut = s->client.conn.out.fin;
        }

        s->client.conn.ops->on_sent(&s->client.conn, 0);
    }
}
