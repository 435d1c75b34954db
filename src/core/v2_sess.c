/* Sessions: from accept to the connected remote, and the one way they end. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_child.h"
#include "v2_listen.h"
#include "v2_park.h"
#include "v2_sess.h"
#include "v2_time.h"

#include <unistd.h>

#define V2_SESS_DRAIN_MS        5000

static void v2_sess_on_data(v2_conn_t *c, v2_buf_t *b, uint32_t n);
static void v2_sess_on_eof(v2_conn_t *c);
static void v2_sess_on_again(v2_conn_t *c);
static void v2_sess_on_sent(v2_conn_t *c, size_t payload);
static void v2_sess_on_error(v2_conn_t *c, int err, const char *what);
static void v2_sess_input(v2_sess_t *s, v2_int_t rc);
static void v2_sess_refuse(v2_sess_t *s);
static void v2_sess_admitted(v2_sess_t *s);
static void v2_sess_on_resolved(v2_resolve_req_t *q);
static void v2_sess_resolved(v2_sess_t *s);
static void v2_sess_connect(v2_sess_t *s);
static void v2_sess_on_connect(v2_dial_t *d, int fd, const v2_addr_t *addr,
    int err);
static void v2_sess_on_dial_idle(v2_dial_t *d);
static void v2_sess_connected(v2_sess_t *s, int fd);
static void v2_sess_on_timer(v2_timer_t *t);
static void v2_sess_access(v2_sess_t *s, const char *text);
static size_t v2_sess_tail(const void *owner, char *out, size_t room);
static void v2_sess_destroy(v2_sess_t *s);

const v2_conn_ops_t  v2_sess_client_ops = {
    .on_data = v2_sess_on_data,
    .on_eof = v2_sess_on_eof,
    .on_again = v2_sess_on_again,
    .on_sent = v2_sess_on_sent,
    .on_error = v2_sess_on_error,
    .on_dead = v2_sess_on_dead
};


void
v2_sess_accept(v2_worker_t *w, v2_live_t *live, v2_live_node_t *node, int fd)
{
    v2_sess_t               *s;
    socklen_t                len;
    struct sockaddr_storage  ss;

    len = sizeof(ss);

    if (getpeername(fd, (struct sockaddr *) &ss, &len) == -1) {
        (void) close(fd);               /* gone already */
        return;
    }

    s = v2_sess_create(w, live, node, node->codecs_n + 1);
    if (s == NULL) {
        v2_log(V2_LOG_ERR, NULL, ENOMEM, "connection refused");
        (void) close(fd);
        return;
    }

    v2_addr_from_sa(&s->view.peer, (struct sockaddr *) &ss);
    v2_conn_init(&s->client.conn, w->ring, fd, 0, &v2_sess_client_ops);
    s->client.conn.group = V2_BUF_HAND;

    /* a layer more: a mux may be put on top */

    if (v2_link_open(&s->client, w, s->layers, node->codecs_n + 1,
                     node->codecs, node->codecs_n, &s->view)
        != V2_OK
        || v2_timer_add(&s->timer, s->last_ms + live->image->handshake_ms)
           != V2_OK)
    {
        v2_sess_close(s, 0, V2_LOG_ERR, ENOMEM, "connection refused");
        return;
    }

    v2_conn_read(&s->client.conn);
}


v2_sess_t *
v2_sess_create(v2_worker_t *w, v2_live_t *live, v2_live_node_t *node,
    unsigned layers_n)
{
    v2_sess_t  *s;

    s = calloc(1, sizeof(*s) + layers_n * sizeof(v2_layer_t));
    if (s == NULL) {
        return NULL;
    }

    s->worker = w;
    s->live = live;
    s->node = node;
    s->number = ++w->number;
    s->row = V2_NONE;
    s->last_ms = s->start_ms = v2_now_ms();
    s->action = "reading the client's header";
    s->log.number = s->number;
    s->log.action = s->action;
    s->log.tail = v2_sess_tail;
    s->log.owner = s;
    s->timer.fire = v2_sess_on_timer;
    s->client.sess = s;
    s->conns = 1;
    v2_queue_init(&s->turn);
    v2_queue_init(&s->children);
    v2_queue_init(&s->sibling);

    s->view.slot = node->node->node;
    s->view.node = node->node;
    s->view.image = live->image;
    s->view.tls = node->tls;
    s->view.log = &s->log;
    s->view.req.key = V2_NONE;
    s->view.now_ms = s->last_ms;

    v2_live_ref(live);
    w->sessions_n++;
    v2_queue_add_tail(&w->sessions, &s->all);

    return s;
}


void
v2_sess_discard(v2_sess_t *s)
{
    v2_queue_del(&s->all);
    v2_live_unref(s->worker, s->live);
    s->worker->sessions_n--;
    free(s);
}


void
v2_sess_close(v2_sess_t *s, unsigned how, unsigned level, int err,
    const char *text)
{
    v2_sess_dial_t  *d;

    if (s->phase == V2_SESS_CLOSED) {
        return;
    }

    if (level) {
        v2_log(level, &s->log, err, "%s", text);
    }

    if (s->row != V2_NONE && !s->view.req.mux) {
        v2_sess_access(s, text);        /* a mux: each child has its line */
    }

    s->phase = V2_SESS_CLOSED;
    v2_timer_del(&s->timer);
    v2_timer_del(&s->pace);
    v2_queue_del(&s->client.posted);
    v2_side_abort(s);
    v2_child_close_all(s);

    d = s->dial;

    if (d) {
        s->dial = NULL;

        if (d->asked) {
            v2_resolve_cancel(s->worker->resolve, &d->resolve);
        }

        if (v2_dial_cancel(&d->dial)) {
            free(d);
        }
    }

    (void) v2_conn_close(&s->client.conn, how & V2_SESS_RST_CLIENT);

    if (s->remote && !v2_park_put(s)) {
        v2_queue_del(&s->remote->posted);
        (void) v2_conn_close(&s->remote->conn, how & V2_SESS_RST_REMOTE);
    }
}


void
v2_sess_drain(v2_sess_t *s, int reset)
{
    if (s->phase == V2_SESS_CLOSED) {
        return;
    }

    s->phase = V2_SESS_DRAIN;
    s->reset = reset ? 1 : 0;
    v2_timer_del(&s->pace);
    (void) v2_timer_add(&s->timer, v2_now_ms() + V2_SESS_DRAIN_MS);
    v2_side_abort(s);

    if (s->remote) {
        v2_queue_del(&s->remote->posted);
        (void) v2_conn_close(&s->remote->conn, reset);
    }

    (void) v2_link_flush(&s->client);

    if (s->client.conn.out.head == NULL) {
        v2_sess_close(s, reset ? V2_SESS_RST_CLIENT : 0, 0, 0,
                      "remote failed");
    }
}


void
v2_sess_free_dead(v2_worker_t *w)
{
    v2_sess_t   *s;
    v2_queue_t  *q;

    while (!v2_queue_empty(&w->dead)) {
        q = w->dead.next;
        s = v2_queue_data(q, v2_sess_t, all);
        v2_queue_del(q);
        v2_sess_destroy(s);
    }
}


static void
v2_sess_destroy(v2_sess_t *s)
{
    v2_worker_t  *w;

    w = s->worker;

    v2_timer_del(&s->timer);
    v2_timer_del(&s->pace);
    v2_link_close(&s->client);
    v2_side_free(s);

    if (s->remote) {
        v2_link_close(s->remote);
        free(s->remote);
    }

    if (s->child) {
        v2_child_free(s);

    } else if (s->row != V2_NONE) {
        w->meter->leave(w->shm, w->index, s->row);
    }

    v2_live_unref(w, s->live);
    w->sessions_n--;
    free(s);

    if (v2_timer_armed(&w->accept_retry)) {
        v2_listen_resume(w);
    }
}


static void
v2_sess_on_data(v2_conn_t *c, v2_buf_t *b, uint32_t n)
{
    v2_sess_t  *s;

    s = v2_sess_of(c);
    s->last_ms = v2_now_ms();

    if (s->phase >= V2_SESS_DRAIN) {
        v2_buf_put(b);
        return;
    }

    v2_sess_input(s, v2_link_input(&s->client, b, n));
}


static void
v2_sess_on_eof(v2_conn_t *c)
{
    v2_sess_t  *s;

    s = v2_sess_of(c);
    s->last_ms = v2_now_ms();

    if (s->phase < V2_SESS_DRAIN) {
        v2_sess_input(s, v2_link_fin(&s->client));
    }
}


static void
v2_sess_on_again(v2_conn_t *c)
{
    v2_sess_again(v2_sess_of(c));
}


void
v2_sess_again(v2_sess_t *s)
{
    if (s->phase < V2_SESS_DRAIN) {
        v2_sess_input(s, v2_link_run(&s->client));
    }
}


/* After every run of the client's layers going in. */
static void
v2_sess_input(v2_sess_t *s, v2_int_t rc)
{
    if (rc == V2_ERROR || rc == V2_DECLINED) {
        v2_sess_refuse(s);
        return;
    }

    if (rc == V2_TARGET) {
        v2_side_target(s);
        return;
    }

    if (s->phase == V2_SESS_HANDSHAKE) {
        if (s->client.done) {
            v2_sess_start(s);

            if (s->phase == V2_SESS_CLOSED) {
                return;
            }

        } else if (s->client.app.fin || s->client.conn.eof) {
            v2_sess_close(s, 0, V2_LOG_INFO, 0, "client closed connection");
            return;
        }
    }

    v2_relay_pump(s);
}


/* The layers gave up: what they emitted (an alert) still goes out. */
static void
v2_sess_refuse(v2_sess_t *s)
{
    const char  *why;

    why = s->view.req.why ? s->view.req.why : "bad input";

    v2_log(V2_LOG_INFO, &s->log, 0, "%s", why);
    v2_sess_drain(s, s->view.req.refuse == V2_REFUSE_RESET);
}


/* The client named a user, and a destination or a mux. */
void
v2_sess_start(v2_sess_t *s)
{
    v2_int_t      rc;
    v2_req_t     *req;
    const char   *why;
    v2_worker_t  *w;

    w = s->worker;
    req = &s->view.req;

    if (s->child == NULL) {
        rc = w->meter->admit(w->shm, w->index, req->account, req->gen,
                             &s->view.peer, req->dest.udp, &s->row, &why);
        if (rc != V2_OK) {
            s->row = V2_NONE;
            v2_sess_close(s, 0, V2_LOG_INFO, 0, why);
            return;
        }
    }

    v2_timer_del(&s->timer);
    s->client.conn.group = V2_BUF_SMALL;

    if (req->mux) {
        s->phase = V2_SESS_MUX;
        s->action = s->log.action = "serving a mux";
        s->pace.fire = v2_relay_on_pace;
        v2_sess_again(s);               /* frames behind the request */
        v2_relay_arm_idle(s);
        return;
    }

    v2_sess_admitted(s);
}


static void
v2_sess_admitted(v2_sess_t *s)
{
    v2_int_t         rc;
    v2_req_t        *req;
    v2_worker_t     *w;
    v2_sess_dial_t  *d;
    v2_route_ask_t   ask;

    w = s->worker;
    req = &s->view.req;

    d = calloc(1, sizeof(*d));
    if (d == NULL) {
        v2_sess_close(s, 0, V2_LOG_ERR, ENOMEM, "no memory");
        return;
    }

    s->dial = d;
    s->action = s->log.action = "resolving";

    memset(&ask, 0, sizeof(ask));
    ask.inbound = s->node->tag;
    ask.node_id = s->node->node->node_id;
    ask.dest = &req->dest;
    ask.ip = req->dest.addr.family ? &req->dest.addr : NULL;

    w->router->route(s->live->route, &ask, &d->answer);

    if (d->answer.action == V2_ROUTE_BLOCK) {
        v2_log(V2_LOG_INFO, &s->log, 0, "blocked by rule \"%s\"",
               d->answer.rule ? d->answer.rule : "");
        v2_sess_close(s, 0, 0, 0, "blocked");
        return;
    }

    if (ask.ip) {
        d->resolve.addrs[0] = req->dest.addr;
        d->resolve.n = 1;
        v2_sess_resolved(s);
        return;
    }

    s->phase = V2_SESS_RESOLVE;
    d->resolve.done = v2_sess_on_resolved;
    d->resolve.owner = s;

    rc = v2_resolve_ask(w->resolve, &d->resolve, req->dest.name,
                        d->answer.family);

    if (rc == V2_AGAIN) {
        d->asked = 1;
        return;
    }

    v2_sess_resolved(s);
}


static void
v2_sess_on_resolved(v2_resolve_req_t *q)
{
    v2_sess_t  *s;

    s = q->owner;
    s->dial->asked = 0;

    v2_sess_resolved(s);

    if (s->phase == V2_SESS_RELAY) {
        v2_relay_pump(s);               /* datagrams that came meanwhile */
    }
}


/* The addresses are there: those that no rule refuses are tried. */
static void
v2_sess_resolved(v2_sess_t *s)
{
    uint32_t            i, n;
    v2_addr_t           a;
    v2_worker_t        *w;
    const v2_dest_t    *dest;
    v2_sess_dial_t     *d;
    v2_route_ask_t      ask;
    v2_route_answer_t   answer;

    d = s->dial;
    w = s->worker;
    dest = &s->view.req.dest;

    if (d->resolve.n == 0) {
        v2_log(V2_LOG_INFO, &s->log, 0, "\"%s\" could not be resolved: %s",
               dest->name, d->resolve.why ? d->resolve.why : "no address");
        v2_sess_close(s, 0, 0, 0, "not resolved");
        return;
    }

    memset(&ask, 0, sizeof(ask));
    memset(&answer, 0, sizeof(answer));
    ask.inbound = s->node->tag;
    ask.node_id = s->node->node->node_id;
    ask.dest = dest;
    n = 0;

    for (i = 0; i < d->resolve.n; i++) {
        a = d->resolve.addrs[i];
        a.port = dest->port;
        ask.ip = &a;

        if (!dest->addr.family) {
            w->router->route(s->live->route, &ask, &answer);

            if (answer.action == V2_ROUTE_BLOCK) {
                continue;
            }

        } else {
            answer = d->answer;
        }

        if ((answer.family == V2_FAMILY_4 && a.family != 4)
            || (answer.family == V2_FAMILY_6 && a.family != 6))
        {
            continue;
        }

        d->dial.addrs[n++] = a;
    }

    if (n == 0) {
        v2_log(V2_LOG_INFO, &s->log, 0, "blocked by rule \"%s\"",
               answer.rule ? answer.rule : "no address of the rule's family");
        v2_sess_close(s, 0, 0, 0, "blocked");
        return;
    }

    d->dial.n = n;
    v2_sess_connect(s);
}


static void
v2_sess_connect(v2_sess_t *s)
{
    int              fd;
    v2_link_t       *parked;
    v2_sess_dial_t  *d;

    d = s->dial;
    s->phase = V2_SESS_CONNECT;
    s->action = s->log.action = "connecting to the remote";
    s->to = d->dial.addrs[0];
    d->dial.from = s->node->node->send_ip;

    parked = v2_park_take(s);

    if (parked) {
        free(d);
        s->dial = NULL;
        s->conns++;
        parked->conn.ops = &v2_relay_remote_ops;
        v2_sess_relay(s, parked);
        return;
    }

    if (s->view.req.dest.udp) {
        fd = v2_dial_datagram(&s->to, &d->dial.from, s->child != NULL);
        free(d);
        s->dial = NULL;

        if (fd == -1) {
            v2_sess_close(s, 0, V2_LOG_ERR, errno, "socket() failed");
            return;
        }

        v2_sess_connected(s, fd);
        return;
    }

    d->dial.ring = s->worker->ring;
    d->dial.done = v2_sess_on_connect;
    d->dial.idle = v2_sess_on_dial_idle;
    d->dial.owner = s;
    v2_dial_start(&d->dial);
}


static void
v2_sess_on_connect(v2_dial_t *d, int fd, const v2_addr_t *addr, int err)
{
    v2_sess_t  *s;

    s = d->owner;
    s->dial = NULL;                     /* freed when it is idle */

    if (fd == -1) {
        v2_sess_close(s, 0, V2_LOG_INFO, err, "connect() failed");
        return;
    }

    s->to = *addr;
    v2_sess_connected(s, fd);
    v2_relay_pump(s);
}


static void
v2_sess_on_dial_idle(v2_dial_t *d)
{
    free(v2_containerof(d, v2_sess_dial_t, dial));
}


static void
v2_sess_connected(v2_sess_t *s, int fd)
{
    v2_link_t  *l;

    l = calloc(1, sizeof(*l));
    if (l == NULL) {
        (void) close(fd);
        v2_sess_close(s, 0, V2_LOG_ERR, ENOMEM, "no memory");
        return;
    }

    v2_conn_init(&l->conn, s->worker->ring, fd, s->view.req.dest.udp,
                 &v2_relay_remote_ops);
    (void) v2_link_open(l, s->worker, NULL, 0, NULL, 0, NULL);
    s->conns++;
    v2_sess_relay(s, l);
}


void
v2_sess_relay(v2_sess_t *s, v2_link_t *remote)
{
    remote->sess = s;
    s->remote = remote;
    s->phase = V2_SESS_RELAY;
    s->action = s->log.action = "relaying";
    s->last_ms = v2_now_ms();

    v2_relay_start(s);
}


static void
v2_sess_on_sent(v2_conn_t *c, size_t payload)
{
    v2_sess_t  *s;

    s = v2_sess_of(c);
    v2_relay_sent(s, 1, payload);

    if (s->phase == V2_SESS_MUX) {
        v2_link_post(&s->client);       /* room for more frames */
        return;
    }

    if (s->phase == V2_SESS_DRAIN && c->out.head == NULL
        && v2_link_queued(&s->client) == 0)
    {
        v2_sess_close(s, s->reset ? V2_SESS_RST_CLIENT : 0, 0, 0, "drained");
    }
}


static void
v2_sess_on_error(v2_conn_t *c, int err, const char *what)
{
    v2_sess_t  *s;

    s = v2_sess_of(c);

    v2_sess_close(s, V2_SESS_RST_REMOTE, V2_LOG_INFO, err, what);
}


void
v2_sess_on_dead(v2_conn_t *c)
{
    v2_sess_conn_gone(v2_sess_of(c));
}


void
v2_sess_conn_gone(v2_sess_t *s)
{
    s->conns--;

    if (s->phase == V2_SESS_CLOSED && s->conns == 0) {
        v2_queue_del(&s->all);
        v2_queue_add_tail(&s->worker->dead, &s->all);
    }
}


static void
v2_sess_on_timer(v2_timer_t *t)
{
    v2_sess_t  *s;

    s = v2_containerof(t, v2_sess_t, timer);

    switch (s->phase) {

    case V2_SESS_HANDSHAKE:
        v2_sess_close(s, 0, V2_LOG_INFO, ETIMEDOUT, "client timed out");
        return;

    case V2_SESS_DRAIN:
        v2_sess_close(s, V2_SESS_RST_CLIENT, 0, 0, "client did not read");
        return;

    case V2_SESS_RELAY:
    case V2_SESS_MUX:
        v2_relay_arm_idle(s);
        return;
    }
}


/* 2026/08/19 12:00:00 192.0.2.7:50211 12 77 tcp:example.org:443 512 90211 3.2
 * (client, node, user, destination, up, down, seconds) */
static void
v2_sess_access(v2_sess_t *s, const char *text)
{
    int            n;
    char           line[768], peer[V2_ADDR_TEXT], dest[V2_NAME_MAX + 8];
    char           stamp[32];
    time_t         now;
    uint64_t       ms;
    struct tm      tm;
    v2_account_t  *a;

    if (!v2_access_on()) {
        return;
    }

    now = v2_wall_s();
    localtime_r(&now, &tm);
    (void) strftime(stamp, sizeof(stamp), "%Y/%m/%d %H:%M:%S", &tm);
    ms = v2_now_ms() - s->start_ms;
    a = v2_shm_account(s->worker->shm, s->view.req.account);

    n = snprintf(line, sizeof(line),
                 "%s %s node:%" PRIu32 " user:%" PRIu64 " %s:%s up:%" PRIu64
                 " down:%" PRIu64 " %" PRIu64 ".%03" PRIu64 "s \"%s\"\n",
                 stamp, v2_addr_print(&s->view.peer, peer, 0),
                 s->node->node->node_id,
                 v2_shm_user(s->worker->shm, a->user)->id,
                 s->view.req.dest.udp ? "udp" : "tcp",
                 v2_dest_print(&s->view.req.dest, dest), s->up, s->down,
                 ms / 1000, ms % 1000, text);

    if (n > 0 && (size_t) n < sizeof(line)) {
        v2_access_write(line, (size_t) n);
    }
}


/* ", client: 192.0.2.7:50211, node: 12, user: 77, remote: ..., up/down: .." */
static size_t
v2_sess_tail(const void *owner, char *out, size_t room)
{
    int               n;
    char              peer[V2_ADDR_TEXT], dest[V2_NAME_MAX + 8];
    const v2_sess_t  *s;

    s = owner;

    n = snprintf(out, room, ", client: %s, node: %" PRIu32,
                 v2_addr_print(&s->view.peer, peer, 0),
                 s->node->node->node_id);

    if (s->row != V2_NONE && n > 0 && (size_t) n < room) {
        n += snprintf(out + n, room - (size_t) n,
                      ", user: %" PRIu64 ", remote: %s, up/down: %" PRIu64
                      "/%" PRIu64,
                      v2_shm_user(s->worker->shm,
                          v2_shm_account(s->worker->shm,
                                         s->view.req.account)->user)->id,
                      v2_dest_print(&s->view.req.dest, dest), s->up, s->down);
    }

    return n < 0 ? 0 : v2_min((size_t) n, room - 1);
}
