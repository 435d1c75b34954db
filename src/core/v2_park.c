/* Parked UDP sockets of XUDP associations. While one is parked, what arrives
 * is dropped: nobody could be told. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_park.h"
#include "v2_time.h"

#define V2_PARK_MS      60000
#define V2_PARK_MAX     1024            /* of one worker */

typedef struct {
    v2_queue_t    queue;                /* w->parks, the oldest first */
    v2_link_t    *link;
    v2_worker_t  *worker;
    v2_timer_t    timer;
    uint32_t      account, gen;
    uint8_t       id[V2_CHILD_ID];
} v2_park_t;

static v2_link_t *v2_park_steal(v2_sess_t *s);
static v2_link_t *v2_park_out(v2_park_t *p);
static void v2_park_on_timer(v2_timer_t *t);
static void v2_park_close(v2_park_t *p);
static void v2_park_on_data(v2_conn_t *c, v2_buf_t *b, uint32_t n);
static void v2_park_on_sent(v2_conn_t *c, size_t payload);
static void v2_park_on_error(v2_conn_t *c, int err, const char *what);
static void v2_park_on_dead(v2_conn_t *c);

static const v2_conn_ops_t  v2_park_ops = {
    .on_data = v2_park_on_data,
    .on_sent = v2_park_on_sent,
    .on_error = v2_park_on_error,
    .on_dead = v2_park_on_dead
};


int
v2_park_put(v2_sess_t *s)
{
    v2_park_t    *p;
    v2_worker_t  *w;

    w = s->worker;

    if (s->child == NULL || !s->child->has_id || s->remote == NULL
        || s->remote->conn.state != V2_CONN_OPEN
        || s->remote->conn.wr.state != V2_OP_IDLE
        || w->parks_n >= V2_PARK_MAX || w->draining
        || w->meter->stale(w->shm, w->index, s->row))
    {
        return 0;
    }

    p = calloc(1, sizeof(*p));
    if (p == NULL) {
        return 0;
    }

    p->timer.fire = v2_park_on_timer;

    if (v2_timer_add(&p->timer, v2_now_ms() + V2_PARK_MS) != V2_OK) {
        free(p);
        return 0;
    }

    p->link = s->remote;
    p->worker = w;
    p->account = s->view.req.account;
    p->gen = s->view.req.gen;
    memcpy(p->id, s->child->id, V2_CHILD_ID);

    p->link->sess = NULL;
    p->link->conn.ops = &v2_park_ops;
    v2_queue_del(&p->link->posted);
    v2_chain_free(&p->link->conn.out);
    s->remote = NULL;
    s->conns--;

    v2_queue_add_tail(&w->parks, &p->queue);
    w->parks_n++;

    return 1;
}


v2_link_t *
v2_park_take(v2_sess_t *s)
{
    v2_park_t   *p;
    v2_queue_t  *q;

    if (s->child == NULL || !s->child->has_id) {
        return NULL;
    }

    for (q = s->worker->parks.next; q != &s->worker->parks; q = q->next) {
        p = v2_queue_data(q, v2_park_t, queue);

        if (p->account == s->view.req.account && p->gen == s->view.req.gen
            && memcmp(p->id, s->child->id, V2_CHILD_ID) == 0)
        {
            return v2_park_out(p);
        }
    }

    return v2_park_steal(s);
}


void
v2_park_close_all(v2_worker_t *w)
{
    while (!v2_queue_empty(&w->parks)) {
        v2_park_close(v2_queue_data(w->parks.next, v2_park_t, queue));
    }
}


/* The client came back before its old connection was seen to end. */
static v2_link_t *
v2_park_steal(v2_sess_t *s)
{
    v2_link_t   *l;
    v2_sess_t   *old;
    v2_queue_t  *q;

    for (q = s->worker->sessions.next; q != &s->worker->sessions; q = q->next)
    {
        old = v2_queue_data(q, v2_sess_t, all);

        if (old == s || old->child == NULL || !old->child->has_id
            || old->phase != V2_SESS_RELAY
            || old->view.req.account != s->view.req.account
            || old->view.req.gen != s->view.req.gen
            || memcmp(old->child->id, s->child->id, V2_CHILD_ID) != 0
            || old->remote->conn.wr.state != V2_OP_IDLE)
        {
            continue;
        }

        l = old->remote;
        old->remote = NULL;
        old->conns--;
        v2_queue_del(&l->posted);
        v2_chain_free(&l->conn.out);
        v2_sess_close(old, 0, 0, 0, "its association went on elsewhere");

        return l;
    }

    return NULL;
}


static v2_link_t *
v2_park_out(v2_park_t *p)
{
    v2_link_t  *l;

    l = p->link;
    v2_queue_del(&p->queue);
    v2_timer_del(&p->timer);
    p->worker->parks_n--;
    free(p);

    return l;
}


static void
v2_park_on_timer(v2_timer_t *t)
{
    v2_park_close(v2_containerof(t, v2_park_t, timer));
}


static void
v2_park_close(v2_park_t *p)
{
    v2_link_t  *l;

    l = v2_park_out(p);
    (void) v2_conn_close(&l->conn, 0);
}


static void
v2_park_on_data(v2_conn_t *c, v2_buf_t *b, uint32_t n)
{
    (void) n;
    v2_buf_put(b);
    v2_conn_read(c);
}


static void
v2_park_on_sent(v2_conn_t *c, size_t payload)
{
    (void) c;
    (void) payload;
}


static void
v2_park_on_error(v2_conn_t *c, int err, const char *what)
{
    (void) err;
    (void) what;
    v2_conn_read(c);
}


static void
v2_park_on_dead(v2_conn_t *c)
{
    v2_link_t  *l;

    l = v2_containerof(c, v2_link_t, conn);
    v2_link_close(l);
    free(l);
}
