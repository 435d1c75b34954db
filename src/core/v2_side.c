/* Side connections: a layer of the client link (REALITY) talks to a target of
 * its own during the handshake. Either it closes it, or the target becomes the
 * remote of a stranger's session.
 *
 *   dialling -> there -> ended, failed
 *   any of the first two, after V2_TARGET: the session's remote
 *
 * Invariant: a layer sees only v2_side_t; what it sends before the target is
 * there waits in `hold`. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_sess.h"
#include "v2_time.h"

#include <sys/un.h>
#include <unistd.h>

#define V2_SIDE_IN_MAX      65536       /* reading stops while so much waits */
#define V2_SIDE_PROXY_MAX   128

struct v2_sidelink_s {
    v2_side_t           pub;
    v2_link_t          *link;           /* NULL before it is there */
    v2_chain_t          hold;
    v2_resolve_req_t    resolve;
    v2_dial_t           dial;
    v2_dest_t           target;
    v2_layer_t         *layer;          /* NULL: closed by the layer */
    v2_sess_t          *sess;           /* NULL: the session is gone */
    unsigned            asked:1;        /* the resolver has the question */
    unsigned            dialling:1;
    unsigned            taken:1;        /* V2_TARGET was said */
};

static v2_int_t v2_side_dial(v2_sidelink_t *sl);
static v2_int_t v2_side_unix(v2_sidelink_t *sl);
static void v2_side_on_resolved(v2_resolve_req_t *q);
static void v2_side_resolved(v2_sidelink_t *sl);
static void v2_side_on_connect(v2_dial_t *d, int fd, const v2_addr_t *addr,
    int err);
static void v2_side_on_idle(v2_dial_t *d);
static void v2_side_there(v2_sidelink_t *sl, int fd);
static void v2_side_failed(v2_sidelink_t *sl, int err);
static v2_int_t v2_side_proxy(v2_sess_t *s, unsigned xver, v2_chain_t *out);
static size_t v2_side_proxy_v2(const v2_addr_t *src, const v2_addr_t *dst,
    uint8_t *p);
static void v2_side_become(v2_sidelink_t *sl);
static void v2_side_on_data(v2_conn_t *c, v2_buf_t *b, uint32_t n);
static void v2_side_on_eof(v2_conn_t *c);
static void v2_side_on_sent(v2_conn_t *c, size_t payload);
static void v2_side_on_error(v2_conn_t *c, int err, const char *what);
static void v2_side_run(v2_sess_t *s);

static const v2_conn_ops_t  v2_side_ops = {
    .on_data = v2_side_on_data,
    .on_eof = v2_side_on_eof,
    .on_sent = v2_side_on_sent,
    .on_error = v2_side_on_error,
    .on_dead = v2_sess_on_dead
};


v2_int_t
v2_layer_side(v2_layer_t *ly, const v2_dest_t *target, unsigned xver)
{
    v2_sess_t      *s;
    v2_sidelink_t  *sl;

    s = ly->link->sess;

    v2_assert(s->side == NULL);

    sl = calloc(1, sizeof(*sl));
    if (sl == NULL) {
        return V2_ERROR;
    }

    v2_chain_init(&sl->hold);
    v2_chain_init(&sl->pub.in);
    sl->sess = s;
    sl->layer = ly;
    sl->target = *target;
    sl->pub.rc = V2_AGAIN;

    if (xver && v2_side_proxy(s, xver, &sl->hold) != V2_OK) {
        free(sl);
        return V2_ERROR;
    }

    s->side = sl;
    ly->side = &sl->pub;

    return v2_side_dial(sl);
}


void
v2_side_send(v2_layer_t *ly, v2_chain_t *c)
{
    v2_sidelink_t  *sl;

    sl = v2_containerof(ly->side, v2_sidelink_t, pub);

    if (sl->link) {
        v2_link_output(sl->link, c);
        return;
    }

    v2_chain_move(&sl->hold, c);
    (void) v2_chain_spill(&sl->hold);
}


void
v2_side_close(v2_layer_t *ly)
{
    if (ly->side) {
        v2_side_abort(ly->link->sess);
    }
}


void
v2_side_target(v2_sess_t *s)
{
    v2_sidelink_t  *sl;

    sl = s->side;

    v2_timer_del(&s->timer);
    s->stranger = 1;
    v2_link_strip(&s->client);

    if (sl == NULL || sl->pub.rc == V2_ERROR) {
        v2_sess_close(s, 0, V2_LOG_INFO, sl ? sl->pub.err : 0,
                      "the target of a stranger cannot be reached");
        return;
    }

    sl->taken = 1;
    s->client.conn.group = V2_BUF_SMALL;

    if (sl->pub.rc == V2_OK) {
        v2_side_become(sl);
        return;
    }

    s->phase = V2_SESS_CONNECT;         /* until the dial ends */
    v2_relay_pump(s);
}


/* Nothing of it reaches the layer any more; the memory goes with the session,
 * or when the dial has ended. */
void
v2_side_abort(v2_sess_t *s)
{
    v2_sidelink_t  *sl;

    sl = s->side;

    if (sl == NULL) {
        return;
    }

    if (sl->layer) {
        sl->layer->side = NULL;
        sl->layer = NULL;
    }

    if (sl->asked) {
        sl->asked = 0;
        v2_resolve_cancel(s->worker->resolve, &sl->resolve);
    }

    if (sl->dialling && v2_dial_cancel(&sl->dial)) {
        sl->dialling = 0;
    }

    if (sl->link) {
        v2_queue_del(&sl->link->posted);
        (void) v2_conn_close(&sl->link->conn, 0);
    }
}


void
v2_side_free(v2_sess_t *s)
{
    v2_sidelink_t  *sl;

    sl = s->side;

    if (sl == NULL) {
        return;
    }

    s->side = NULL;
    sl->sess = NULL;
    v2_chain_free(&sl->hold);
    v2_chain_free(&sl->pub.in);

    if (sl->link) {
        v2_link_close(sl->link);
        free(sl->link);
        sl->link = NULL;
    }

    if (!sl->dialling) {
        free(sl);
    }
}


static v2_int_t
v2_side_dial(v2_sidelink_t *sl)
{
    v2_int_t  rc;

    if (sl->target.name[0] == '/' || sl->target.name[0] == '@') {
        return v2_side_unix(sl);
    }

    if (sl->target.addr.family) {
        sl->resolve.addrs[0] = sl->target.addr;
        sl->resolve.n = 1;
        v2_side_resolved(sl);
        return V2_OK;
    }

    sl->resolve.done = v2_side_on_resolved;
    sl->resolve.owner = sl;

    rc = v2_resolve_ask(sl->sess->worker->resolve, &sl->resolve,
                        sl->target.name, V2_FAMILY_ANY);

    if (rc == V2_AGAIN) {
        sl->asked = 1;
        return V2_OK;
    }

    v2_side_resolved(sl);

    return V2_OK;
}


/* "/path", "@abstract", or "@@abstract" padded to the full length. A unix
 * socket connects at once or not at all. */
static v2_int_t
v2_side_unix(v2_sidelink_t *sl)
{
    int                 fd, err;
    size_t              len;
    socklen_t           size;
    const char         *name;
    struct sockaddr_un  sun;

    memset(&sun, 0, sizeof(sun));
    sun.sun_family = AF_UNIX;
    name = sl->target.name;
    size = sizeof(sun);

    if (name[0] == '@') {
        name++;
        len = strlen(name);

        if (name[0] == '@') {
            name++;
            len--;

        } else {
            size = (socklen_t) (offsetof(struct sockaddr_un, sun_path) + 1
                                + len);
        }

        memcpy(sun.sun_path + 1, name, v2_min(len, sizeof(sun.sun_path) - 1));

    } else {
        len = strlen(name);
        memcpy(sun.sun_path, name, v2_min(len, sizeof(sun.sun_path) - 1));
    }

    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd == -1 || connect(fd, (struct sockaddr *) &sun, size) == -1) {
        err = errno;

        if (fd != -1) {
            (void) close(fd);
        }

        v2_side_failed(sl, err);
        return V2_OK;
    }

    v2_side_there(sl, fd);

    return V2_OK;
}


static void
v2_side_on_resolved(v2_resolve_req_t *q)
{
    v2_sidelink_t  *sl;

    sl = q->owner;
    sl->asked = 0;
    v2_side_resolved(sl);
    v2_side_run(sl->sess);
}


static void
v2_side_resolved(v2_sidelink_t *sl)
{
    uint32_t  i;

    if (sl->resolve.n == 0) {
        v2_side_failed(sl, EHOSTUNREACH);
        return;
    }

    for (i = 0; i < sl->resolve.n; i++) {
        sl->dial.addrs[i] = sl->resolve.addrs[i];
        sl->dial.addrs[i].port = sl->target.port;
    }

    sl->dial.n = sl->resolve.n;
    sl->dial.ring = sl->sess->worker->ring;
    sl->dial.from = sl->sess->node->node->send_ip;
    sl->dial.done = v2_side_on_connect;
    sl->dial.idle = v2_side_on_idle;
    sl->dial.owner = sl;
    sl->dialling = 1;
    v2_dial_start(&sl->dial);
}


static void
v2_side_on_connect(v2_dial_t *d, int fd, const v2_addr_t *addr, int err)
{
    v2_sidelink_t  *sl;

    (void) addr;

    sl = d->owner;

    if (fd == -1) {
        v2_side_failed(sl, err);

    } else {
        v2_side_there(sl, fd);
    }

    if (!sl->taken) {
        v2_side_run(sl->sess);
    }
}


/* Losing attempts are closed: the dial's memory is ours again. */
static void
v2_side_on_idle(v2_dial_t *d)
{
    v2_sidelink_t  *sl;

    sl = d->owner;
    sl->dialling = 0;

    if (sl->sess == NULL) {
        free(sl);
    }
}


static void
v2_side_there(v2_sidelink_t *sl, int fd)
{
    v2_link_t  *l;

    l = calloc(1, sizeof(*l));
    if (l == NULL) {
        (void) close(fd);
        v2_side_failed(sl, ENOMEM);
        return;
    }

    v2_conn_init(&l->conn, sl->sess->worker->ring, fd, 0, &v2_side_ops);
    (void) v2_link_open(l, sl->sess->worker, NULL, 0, NULL, 0, NULL);
    l->sess = sl->sess;
    sl->sess->conns++;
    sl->link = l;
    sl->pub.rc = V2_OK;

    if (sl->hold.head) {
        v2_link_output(l, &sl->hold);
    }

    if (sl->taken) {
        v2_side_become(sl);
        return;
    }

    v2_conn_read(&l->conn);
}


static void
v2_side_failed(v2_sidelink_t *sl, int err)
{
    sl->pub.rc = V2_ERROR;
    sl->pub.err = err;

    if (sl->taken) {
        v2_sess_close(sl->sess, 0, V2_LOG_INFO, err,
                      "the target of a stranger cannot be reached");
    }
}


/* The header that tells a target who the client is (PROXY protocol 1 and 2;
 * transports.md 10.1). */
static v2_int_t
v2_side_proxy(v2_sess_t *s, unsigned xver, v2_chain_t *out)
{
    int                      n;
    char                     src[V2_ADDR_TEXT], dst[V2_ADDR_TEXT];
    uint8_t                  p[V2_SIDE_PROXY_MAX];
    socklen_t                len;
    v2_addr_t                local;
    struct sockaddr_storage  ss;

    len = sizeof(ss);
    memset(&local, 0, sizeof(local));

    if (getsockname(s->client.conn.fd, (struct sockaddr *) &ss, &len) == 0) {
        v2_addr_from_sa(&local, (struct sockaddr *) &ss);
    }

    if (xver == 2) {
        return v2_chain_copy(out, p,
                             v2_side_proxy_v2(&s->view.peer, &local, p));
    }

    if (local.family != s->view.peer.family) {
        return v2_chain_copy(out, "PROXY UNKNOWN\r\n", 15);
    }

    n = snprintf((char *) p, sizeof(p), "PROXY TCP%u %s %s %u %u\r\n",
                 local.family, v2_addr_print(&s->view.peer, src, 1),
                 v2_addr_print(&local, dst, 1), s->view.peer.port,
                 local.port);

    return v2_chain_copy(out, p, (size_t) n);
}


static size_t
v2_side_proxy_v2(const v2_addr_t *src, const v2_addr_t *dst, uint8_t *p)
{
    static const uint8_t  sign[12] = {
        0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a
    };

    size_t  n, ip;

    memcpy(p, sign, sizeof(sign));
    n = sizeof(sign);

    if (src->family != dst->family) {
        memcpy(p + n, "\x20\0\0\0", 4);
        return n + 4;
    }

    ip = src->family == 4 ? 4 : 16;
    p[n++] = 0x21;
    p[n++] = src->family == 4 ? 0x11 : 0x21;
    p[n++] = 0;
    p[n++] = (uint8_t) (2 * ip + 4);
    memcpy(p + n, src->ip, ip);
    memcpy(p + n + ip, dst->ip, ip);
    n += 2 * ip;
    p[n++] = (uint8_t) (src->port >> 8);
    p[n++] = (uint8_t) src->port;
    p[n++] = (uint8_t) (dst->port >> 8);
    p[n++] = (uint8_t) dst->port;

    return n;
}


/* The side connection goes on as the remote of this session. */
static void
v2_side_become(v2_sidelink_t *sl)
{
    v2_link_t  *l;
    v2_sess_t  *s;

    l = sl->link;
    s = sl->sess;
    sl->link = NULL;

    if (sl->layer) {
        sl->layer->side = NULL;
        sl->layer = NULL;
    }

    l->conn.ops = &v2_relay_remote_ops;
    v2_sess_relay(s, l);

    if (sl->pub.in.head) {
        v2_relay_bill(&sl->pub.in);
        v2_link_output(&s->client, &sl->pub.in);
    }

    if (sl->pub.eof) {
        v2_link_end(&s->client);
    }

    v2_relay_pump(s);
}


static void
v2_side_on_data(v2_conn_t *c, v2_buf_t *b, uint32_t n)
{
    v2_sess_t      *s;
    v2_sidelink_t  *sl;

    s = v2_sess_of(c);
    sl = s->side;

    if (sl->layer == NULL
        || v2_chain_add(&sl->pub.in, b, V2_BUF_HEAD, n, 0) == NULL)
    {
        v2_buf_put(b);
        return;
    }

    v2_side_run(s);
}


static void
v2_side_on_eof(v2_conn_t *c)
{
    v2_sess_of(c)->side->pub.eof = 1;
    v2_side_run(v2_sess_of(c));
}


static void
v2_side_on_sent(v2_conn_t *c, size_t payload)
{
    (void) c;
    (void) payload;
}


static void
v2_side_on_error(v2_conn_t *c, int err, const char *what)
{
    v2_sidelink_t  *sl;

    (void) what;

    sl = v2_sess_of(c)->side;
    sl->pub.rc = V2_ERROR;
    sl->pub.err = err;
    sl->pub.eof = 1;
    v2_side_run(v2_sess_of(c));
}


/* The layer looks at what is new; then the side is read on. */
static void
v2_side_run(v2_sess_t *s)
{
    v2_sidelink_t  *sl;

    v2_sess_again(s);
    sl = s->side;

    if (sl == NULL || sl->layer == NULL || sl->link == NULL) {
        return;
    }

    if (v2_chain_spill(&sl->pub.in) == V2_OK
        && sl->pub.in.bytes < V2_SIDE_IN_MAX)
    {
        v2_conn_read(&sl->link->conn);
    }
}
