/* The relay: moving bytes between the two links of a session, and deciding
 * which side may be read. At most one receive and one send are in flight per
 * socket; a side is read only while less than bufferSize waits to be sent on
 * the other, and while its rate limit has room. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_child.h"
#include "v2_sess.h"
#include "v2_time.h"

static void v2_relay_on_data(v2_conn_t *c, v2_buf_t *b, uint32_t n);
static void v2_relay_on_eof(v2_conn_t *c);
static void v2_relay_on_sent(v2_conn_t *c, size_t payload);
static void v2_relay_on_error(v2_conn_t *c, int err, const char *what);
static void v2_relay_up(v2_sess_t *s);
static void v2_relay_datagrams(v2_sess_t *s, v2_chain_t *app);
static int v2_relay_allowed(v2_sess_t *s, const v2_addr_t *to);
static void v2_relay_stranger(v2_sess_t *s, unsigned way, size_t payload);
static int v2_relay_paced(v2_sess_t *s, unsigned way);
static void v2_relay_check_end(v2_sess_t *s);

const v2_conn_ops_t  v2_relay_remote_ops = {
    .on_data = v2_relay_on_data,
    .on_eof = v2_relay_on_eof,
    .on_sent = v2_relay_on_sent,
    .on_error = v2_relay_on_error,
    .on_dead = v2_sess_on_dead
};


void
v2_relay_start(v2_sess_t *s)
{
    s->pace.fire = v2_relay_on_pace;
    v2_relay_arm_idle(s);
}


/* What came from the client goes to the remote, or waits for it. */
void
v2_relay_pump(v2_sess_t *s)
{
    if (s->phase == V2_SESS_MUX) {
        if (s->client.app.fin) {
            v2_sess_close(s, 0, 0, 0, "done");
            return;
        }

    } else if (s->phase == V2_SESS_RELAY) {
        v2_relay_up(s);

        if (s->phase == V2_SESS_RELAY) {
            v2_relay_check_end(s);
        }

    } else if (s->client.app.head
               && v2_chain_spill(&s->client.app) != V2_OK)
    {
        v2_sess_close(s, 0, V2_LOG_ERR, ENOMEM, "no memory for early data");
        return;
    }

    v2_relay_want(s);
}


static void
v2_relay_up(v2_sess_t *s)
{
    unsigned     fin;
    v2_chain_t  *app;

    app = &s->client.app;
    fin = app->fin;
    app->fin = 0;

    if (app->head) {
        v2_relay_bill(app);

        if (s->remote->conn.udp) {
            v2_relay_datagrams(s, app);
        }

        v2_link_output(s->remote, app);
    }

    if (fin) {
        v2_link_end(s->remote);
        v2_relay_arm_idle(s);
    }
}


/* Each datagram has its own destination, and each new one asks the rules; what
 * they refuse is dropped. */
static void
v2_relay_datagrams(v2_sess_t *s, v2_chain_t *app)
{
    v2_chain_t   keep, one;
    v2_slice_t  *sl;

    v2_chain_init(&keep);

    while ((sl = app->head) != NULL) {
        v2_chain_init(&one);

        if (v2_chain_move_n(&one, app, sl->len) != V2_OK) {
            break;
        }

        if (sl->addr == NULL) {
            sl->addr = &s->to;

        } else if (!v2_relay_allowed(s, sl->addr)) {
            v2_chain_free(&one);
            continue;
        }

        v2_chain_move(&keep, &one);
    }

    v2_chain_free(app);
    v2_chain_move(app, &keep);
}


static int
v2_relay_allowed(v2_sess_t *s, const v2_addr_t *to)
{
    v2_dest_t           dest;
    v2_worker_t        *w;
    v2_route_ask_t      ask;
    v2_route_answer_t   answer;

    if (v2_addr_eq(to, &s->to) || v2_addr_eq(to, &s->also)) {
        return 1;
    }

    w = s->worker;
    memset(&dest, 0, sizeof(dest));
    memset(&ask, 0, sizeof(ask));
    dest.addr = *to;
    dest.port = to->port;
    dest.udp = 1;
    ask.inbound = s->node->tag;
    ask.node_id = s->node->node->node_id;
    ask.dest = &dest;
    ask.ip = to;

    w->router->route(s->live->route, &ask, &answer);

    if (answer.action == V2_ROUTE_BLOCK
        || (answer.family == V2_FAMILY_4 && to->family != 4)
        || (answer.family == V2_FAMILY_6 && to->family != 6))
    {
        return 0;
    }

    s->also = *to;                      /* the next ones go there too */

    return 1;
}


void
v2_relay_bill(v2_chain_t *c)
{
    v2_slice_t  *sl;

    for (sl = c->head; sl; sl = sl->next) {
        sl->bill = sl->len;
        sl->linear = 1;
    }

    c->taken = 0;
}


void
v2_relay_want(v2_sess_t *s)
{
    size_t      up, limit;
    v2_conn_t  *client, *remote;

    client = &s->client.conn;
    limit = s->live->image->buffer_bytes;

    switch (s->phase) {

    case V2_SESS_HANDSHAKE:
        v2_conn_read(client);
        return;

    case V2_SESS_RESOLVE:
    case V2_SESS_CONNECT:
        if (s->client.app.bytes < limit) {
            v2_conn_read(client);
        }

        return;

    case V2_SESS_MUX:
        if (s->over_n == 0 && !s->client.again_in
            && v2_link_queued(&s->client) < 2 * limit
            && !v2_relay_paced(s, 0))
        {
            v2_conn_read(client);
        }

        return;

    case V2_SESS_RELAY:
        break;

    default:
        return;
    }

    remote = &s->remote->conn;
    up = v2_link_queued(s->remote);

    if (client->rd.state == V2_OP_IDLE && !client->eof
        && (up == 0 || up < limit) && !s->client.again_in
        && !v2_relay_paced(s, 0))
    {
        v2_conn_read(client);
    }

    up = v2_link_queued(&s->client);

    if (remote->rd.state == V2_OP_IDLE && !remote->eof
        && (up == 0 || up < limit) && !v2_relay_paced(s, 1))
    {
        v2_conn_read(remote);
    }
}


void
v2_relay_sent(v2_sess_t *s, unsigned way, size_t payload)
{
    v2_worker_t  *w;

    w = s->worker;

    if (payload) {
        if (s->row != V2_NONE) {
            w->meter->count(w->shm, w->index, s->row, way, payload);

        } else {
            v2_relay_stranger(s, way, payload);
        }

        if (way) {
            s->down += payload;

        } else {
            s->up += payload;
        }
    }

    s->last_ms = v2_now_ms();

    if (s->phase == V2_SESS_RELAY) {
        v2_relay_check_end(s);
    }

    if (s->child) {
        v2_child_pressure(s);
        s->parent->last_ms = s->last_ms;
    }

    v2_relay_want(s);
}


/* Bytes of somebody who is no user of the node: counted there. */
static void
v2_relay_stranger(v2_sess_t *s, unsigned way, size_t payload)
{
    v2_shm_node_t  *n;

    n = &s->worker->shm->nodes[s->view.slot];

    atomic_fetch_add_explicit(way ? &n->stranger_down : &n->stranger_up,
                              payload, memory_order_relaxed);
}


/* The timer looks at the last byte; it is not moved by every byte. */
void
v2_relay_arm_idle(v2_sess_t *s)
{
    uint64_t           limit, at;
    const v2_image_t  *im;

    im = s->live->image;
    limit = im->idle_ms;

    if (s->remote == NULL) {
        limit = im->idle_ms;            /* a mux */

    } else if (s->remote->conn.eof || s->client.ended) {
        limit = v2_min(limit, im->uplink_only_ms);

    } else if (s->client.conn.eof || s->remote->conn.shut) {
        limit = v2_min(limit, im->downlink_only_ms);
    }

    at = s->last_ms + limit;

    if (at <= v2_now_ms()) {
        v2_sess_close(s, 0, V2_LOG_INFO, ETIMEDOUT, "connection is idle");
        return;
    }

    (void) v2_timer_add(&s->timer, at);
}


static void
v2_relay_on_data(v2_conn_t *c, v2_buf_t *b, uint32_t n)
{
    v2_sess_t   *s;
    v2_chain_t   chain;
    v2_slice_t  *sl;

    s = v2_sess_of(c);
    s->last_ms = v2_now_ms();

    if (s->phase != V2_SESS_RELAY || n == 0) {
        v2_buf_put(b);                  /* an empty datagram carries nothing */
        v2_relay_want(s);
        return;
    }

    v2_chain_init(&chain);

    sl = v2_chain_add(&chain, b, V2_BUF_HEAD, n, n);
    if (sl == NULL) {
        v2_buf_put(b);
        v2_sess_close(s, 0, V2_LOG_ERR, ENOMEM, "no memory");
        return;
    }

    if (c->udp) {
        sl->end = 1;
        sl->addr = &b->addr;
    }

    v2_link_output(&s->client, &chain);
    v2_relay_want(s);
}


static void
v2_relay_on_eof(v2_conn_t *c)
{
    v2_sess_t  *s;

    s = v2_sess_of(c);
    s->last_ms = v2_now_ms();

    if (s->phase != V2_SESS_RELAY) {
        return;
    }

    v2_link_end(&s->client);
    v2_relay_arm_idle(s);
}


static void
v2_relay_on_sent(v2_conn_t *c, size_t payload)
{
    v2_relay_sent(v2_sess_of(c), 0, payload);
}


static void
v2_relay_on_error(v2_conn_t *c, int err, const char *what)
{
    v2_sess_t  *s;

    s = v2_sess_of(c);

    if (c->udp) {
        v2_relay_want(s);               /* an ICMP error is not the end */
        return;
    }

    v2_log(V2_LOG_INFO, &s->log, err, "%s", what);
    v2_sess_drain(s, 1);
}


/* 1: this direction must wait; the timer wakes it. */
static int
v2_relay_paced(v2_sess_t *s, unsigned way)
{
    uint64_t      ns;
    v2_worker_t  *w;

    if (s->row == V2_NONE) {
        return 0;
    }

    w = s->worker;
    ns = w->meter->pause(w->shm, w->index, s->row, way);

    if (ns == 0) {
        return 0;
    }

    if (!v2_timer_armed(&s->pace)) {
        /* not longer than a second: a raised limit acts at once */

        (void) v2_timer_add(&s->pace, v2_now_ms()
                                      + v2_min(1 + ns / 1000000, 1000));
    }

    return 1;
}


void
v2_relay_on_pace(v2_timer_t *t)
{
    v2_relay_want(v2_containerof(t, v2_sess_t, pace));
}


/* Both directions ended and all was taken: an orderly end. */
static void
v2_relay_check_end(v2_sess_t *s)
{
    int  up, down;

    down = s->client.conn.shut;
    up = s->remote->conn.udp
         ? s->remote->conn.out.fin && s->remote->conn.out.head == NULL
         : s->remote->conn.shut;

    if (up && down) {
        v2_sess_close(s, 0, 0, 0, "done");
    }
}
