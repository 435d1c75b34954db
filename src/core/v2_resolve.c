/* Names to addresses in a worker. The only file that knows c-ares, whose
 * sockets are watched by ring polls and whose time-outs by one timer. What is
 * known about names, and who waits for them, is in v2_names.c.
 *
 *   ask -> localhost, hosts file -> cache -> questions
 *
 * Invariants
 *  1. done() is called from the loop only (v2_resolve_flush), never from ask
 *     or cancel, and never from inside c-ares: its callbacks only fill halves
 *     and put the entry on the ready list.
 *  2. c-ares closes its sockets by itself and at once. Polls therefore watch
 *     a duplicate, which is closed through the ring after its poll ended; a
 *     reused number can never meet an old poll.
 *  3. Search domains are not applied: a client's name is absolute. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_resolve.h"
#include "v2_buf.h"
#include "v2_hosts.h"
#include "v2_log.h"
#include "v2_names.h"
#include "v2_ring.h"
#include "v2_soa.h"
#include "v2_time.h"

#include <ares.h>
#include <arpa/nameser.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>


#define V2_RESOLVE_ASKING   1024        /* questions open at once */

#define V2_RESOLVE_TTL_MIN  5           /* s */
#define V2_RESOLVE_TTL_MAX  3600
#define V2_RESOLVE_NEG_MIN  5
#define V2_RESOLVE_NEG_MAX  60
#define V2_RESOLVE_NEG      30          /* no SOA in the answer */
#define V2_RESOLVE_FAIL_MS  2000
#define V2_RESOLVE_FULL_MS  1000

#define V2_RESOLVE_TRY_MS   1500        /* first try of one server */
#define V2_RESOLVE_TRIES    2
#define V2_RESOLVE_LOOK_MS  10000


typedef struct v2_channel_dns_s  v2_chan_t;

/* One c-ares channel: a set of servers. */
struct v2_channel_dns_s {
    v2_resolve_t  *rs;
    ares_channel   ares;
    uint32_t       pending;             /* questions without an answer */
    v2_queue_t     socks;
    v2_timer_t     timer;
};

/* Lives until its duplicate is closed, longer than channel and resolver. */
typedef struct {
    v2_queue_t     link;
    v2_op_t        op;
    v2_ring_t     *ring;
    v2_chan_t     *chan;                /* NULL: c-ares closed its socket */
    int            fd;                  /* of c-ares */
    int            dup;
    unsigned       want, armed;         /* poll masks */
    unsigned       canceling:1;
    unsigned       inside:1;            /* c-ares runs for this socket */
} v2_rsock_t;

typedef struct {
    dev_t            dev;
    ino_t            ino;
    off_t            size;
    struct timespec  mtime;
} v2_stamp_t;

struct v2_resolve_s {
    v2_ring_t     *ring;
    v2_chan_t     *chan;                /* takes new questions */
    v2_chan_t     *old;                 /* of the former resolv.conf */
    v2_hosts_t    *hosts;
    char          *servers;             /* NULL: from the file */
    char          *resolv_path, *hosts_path;
    v2_stamp_t     resolv_stamp, hosts_stamp;
    uint64_t       look_ms;             /* when the files are looked at */
    uint32_t       asking_n;
    v2_timer_t     flush;               /* what became ready inside ask */
    unsigned       dying:1;
    v2_names_t     names;
};


static v2_chan_t *v2_chan_create(v2_resolve_t *rs);
static void v2_chan_destroy(v2_chan_t *ch);
static void v2_chan_timer(v2_chan_t *ch);
static void v2_chan_fire(v2_timer_t *t);
static void v2_chan_on_state(void *data, ares_socket_t fd, int readable,
    int writable);
static void v2_rsock_arm(v2_rsock_t *s);
static void v2_rsock_on_poll(v2_op_t *op, int res, unsigned flags);
static void v2_rsock_close(v2_rsock_t *s);
static void v2_rsock_on_closed(v2_op_t *op, int res, unsigned flags);

static int v2_resolve_local(v2_resolve_t *rs, v2_resolve_req_t *q,
    const char *text, v2_family_e family);
static void v2_resolve_question(v2_resolve_t *rs, v2_half_t *h);
static void v2_resolve_on_answer(void *arg, int status, int timeouts,
    unsigned char *abuf, int alen);
static void v2_resolve_good(v2_half_t *h, const unsigned char *abuf, int alen);
static void v2_resolve_bad(v2_half_t *h, int status,
    const unsigned char *abuf, int alen);
static void v2_resolve_flush(v2_resolve_t *rs);
static void v2_resolve_on_wait(v2_timer_t *t);
static void v2_resolve_on_flush(v2_timer_t *t);
static void v2_resolve_look(v2_resolve_t *rs);
static int v2_resolve_changed(const char *path, v2_stamp_t *stamp);
static int v2_resolve_six(void);


v2_resolve_t *
v2_resolve_create(v2_ring_t *ring, const char *servers, const char *resolv,
    const char *hosts)
{
    v2_resolve_t  *rs;

    if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS) {
        v2_log(V2_LOG_ALERT, NULL, 0, "ares_library_init() failed");
        return NULL;
    }

    rs = calloc(1, sizeof(*rs));

    if (rs == NULL) {
        v2_log(V2_LOG_ALERT, NULL, errno, "resolver: calloc() failed");
        ares_library_cleanup();
        return NULL;
    }

    rs->ring = ring;
    v2_names_init(&rs->names, v2_resolve_on_wait);
    rs->flush.fire = v2_resolve_on_flush;

    rs->servers = servers != NULL ? strdup(servers) : NULL;
    rs->resolv_path = strdup(resolv != NULL ? resolv : "/etc/resolv.conf");
    rs->hosts_path = strdup(hosts != NULL ? hosts : "/etc/hosts");

    if (rs->resolv_path == NULL || rs->hosts_path == NULL
        || (servers != NULL && rs->servers == NULL))
    {
        v2_log(V2_LOG_ALERT, NULL, errno, "resolver: strdup() failed");
        goto failed;
    }

    (void) v2_resolve_changed(rs->resolv_path, &rs->resolv_stamp);
    (void) v2_resolve_changed(rs->hosts_path, &rs->hosts_stamp);

    rs->chan = v2_chan_create(rs);

    if (rs->chan == NULL) {
        goto failed;
    }

    rs->hosts = v2_hosts_load(rs->hosts_path);
    rs->names.six = v2_resolve_six() ? 1 : 0;
    rs->look_ms = v2_now_ms() + V2_RESOLVE_LOOK_MS;

    return rs;

failed:

    v2_resolve_destroy(rs);

    return NULL;
}


void
v2_resolve_destroy(v2_resolve_t *rs)
{
    if (rs == NULL) {
        return;
    }

    rs->dying = 1;
    v2_chan_destroy(rs->chan);
    v2_chan_destroy(rs->old);
    v2_timer_del(&rs->flush);
    v2_names_done(&rs->names);

    v2_assert(rs->asking_n == 0);

    v2_hosts_destroy(rs->hosts);
    free(rs->servers);
    free(rs->resolv_path);
    free(rs->hosts_path);
    free(rs);
    ares_library_cleanup();
}


v2_int_t
v2_resolve_ask(v2_resolve_t *rs, v2_resolve_req_t *q, const char *name,
    v2_family_e family)
{
    char        text[V2_NAME_MAX + 1];
    size_t      len;
    v2_name_t  *e;

    q->n = 0;
    q->why = NULL;
    memset(q->wait, 0, sizeof(q->wait));

    if (v2_names_text(name, text, &len) != V2_OK) {
        q->why = "not a host name";
        return V2_ERROR;
    }

    if (v2_now_ms() >= rs->look_ms) {
        v2_resolve_look(rs);
    }

    if (v2_resolve_local(rs, q, text, family)) {
        return q->n != 0 ? V2_OK : V2_ERROR;
    }

    e = v2_names_get(&rs->names, text, len);

    if (e == NULL) {
        q->why = "too many names are being resolved";
        return V2_ERROR;
    }

    if (family != V2_FAMILY_6) {
        v2_resolve_question(rs, &e->half[V2_HALF_A]);
    }

    if (family != V2_FAMILY_4) {
        v2_resolve_question(rs, &e->half[V2_HALF_AAAA]);
    }

    if (!v2_queue_empty(&rs->names.ready) && !v2_timer_armed(&rs->flush)) {
        (void) v2_timer_add(&rs->flush, v2_now_ms());
    }

    if (v2_names_known(e, family)) {
        v2_names_fill(e, q, family);
        return q->n != 0 ? V2_OK : V2_ERROR;
    }

    v2_names_wait(e, q, family);

    return V2_AGAIN;
}


void
v2_resolve_cancel(v2_resolve_t *rs, v2_resolve_req_t *q)
{
    (void) rs;

    v2_names_leave(q);
}


/* --- channels and their sockets --- */


static v2_chan_t *
v2_chan_create(v2_resolve_t *rs)
{
    int                  rc, mask;
    char                 lookups[] = "b";
    v2_chan_t           *ch;
    struct ares_options  o;

    ch = calloc(1, sizeof(*ch));

    if (ch == NULL) {
        v2_log(V2_LOG_ALERT, NULL, errno, "resolver: calloc() failed");
        return NULL;
    }

    ch->rs = rs;
    ch->timer.fire = v2_chan_fire;
    v2_queue_init(&ch->socks);

    memset(&o, 0, sizeof(o));
    o.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | ARES_FLAG_EDNS;
    o.ednspsz = 1232;
    o.timeout = V2_RESOLVE_TRY_MS;
    o.tries = V2_RESOLVE_TRIES;
    o.lookups = lookups;
    o.sock_state_cb = v2_chan_on_state;
    o.sock_state_cb_data = ch;
    o.resolvconf_path = rs->resolv_path;

    mask = ARES_OPT_FLAGS | ARES_OPT_EDNSPSZ | ARES_OPT_TIMEOUTMS
           | ARES_OPT_TRIES | ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB
           | ARES_OPT_RESOLVCONF;

    rc = ares_init_options(&ch->ares, &o, mask);

    if (rc != ARES_SUCCESS) {
        v2_log(V2_LOG_ALERT, NULL, 0, "ares_init_options() failed (%s)",
               ares_strerror(rc));
        free(ch);
        return NULL;
    }

    if (rs->servers != NULL) {
        rc = ares_set_servers_ports_csv(ch->ares, rs->servers);

        if (rc != ARES_SUCCESS) {
            v2_log(V2_LOG_EMERG, NULL, 0, "name servers \"%s\" are not "
                   "possible (%s)", rs->servers, ares_strerror(rc));
            v2_chan_destroy(ch);
            return NULL;
        }
    }

    return ch;
}


static void
v2_chan_destroy(v2_chan_t *ch)
{
    if (ch == NULL) {
        return;
    }

    ares_destroy(ch->ares);

    v2_assert(ch->pending == 0);
    v2_assert(v2_queue_empty(&ch->socks));

    v2_timer_del(&ch->timer);
    free(ch);
}


static void
v2_chan_timer(v2_chan_t *ch)
{
    struct timeval  tv;

    if (ares_timeout(ch->ares, NULL, &tv) == NULL) {
        v2_timer_del(&ch->timer);
        return;
    }

    (void) v2_timer_add(&ch->timer, v2_now_ms() + (uint64_t) tv.tv_sec * 1000
                        + (uint64_t) tv.tv_usec / 1000 + 1);
}


static void
v2_chan_fire(v2_timer_t *t)
{
    v2_chan_t  *ch;

    ch = v2_containerof(t, v2_chan_t, timer);

    ares_process_fd(ch->ares, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    v2_chan_timer(ch);
    v2_resolve_flush(ch->rs);
}


static void
v2_chan_on_state(void *data, ares_socket_t fd, int readable, int writable)
{
    v2_chan_t   *ch = data;
    v2_queue_t  *l;
    v2_rsock_t  *s;

    s = NULL;

    for (l = ch->socks.next; l != &ch->socks; l = l->next) {
        s = v2_queue_data(l, v2_rsock_t, link);

        if (s->fd == fd) {
            break;
        }

        s = NULL;
    }

    if (!readable && !writable) {
        if (s != NULL) {
            v2_rsock_close(s);
        }

        return;
    }

    if (s == NULL) {
        s = calloc(1, sizeof(*s));

        if (s == NULL) {
            return;
        }

        s->dup = fcntl(fd, F_DUPFD_CLOEXEC, 3);

        if (s->dup == -1) {
            v2_log(V2_LOG_ERR, NULL, errno, "fcntl(F_DUPFD_CLOEXEC) of a "
                   "resolver socket failed");
            free(s);
            return;
        }

        s->ring = ch->rs->ring;
        s->chan = ch;
        s->fd = fd;
        v2_queue_add_tail(&ch->socks, &s->link);
    }

    s->want = (readable ? POLLIN : 0) | (writable ? POLLOUT : 0);

    if (!s->inside) {
        v2_rsock_arm(s);
    }
}


static void
v2_rsock_arm(v2_rsock_t *s)
{
    if (s->armed == 0) {
        s->armed = s->want;
        s->op.done = v2_rsock_on_poll;
        s->op.owner = s;
        v2_ring_poll(s->ring, &s->op, s->dup, s->want);
        return;
    }

    if (s->armed != s->want && !s->canceling) {
        s->canceling = 1;
        v2_ring_cancel(s->ring, &s->op);
    }
}


static void
v2_rsock_on_poll(v2_op_t *op, int res, unsigned flags)
{
    v2_chan_t     *ch;
    v2_rsock_t    *s;
    ares_socket_t  rd, wr;

    (void) flags;

    s = op->owner;
    s->armed = 0;
    s->canceling = 0;
    ch = s->chan;

    if (ch == NULL) {
        v2_rsock_close(s);
        return;
    }

    if (res < 0 && res != -ECANCELED) {
        v2_log(V2_LOG_ALERT, NULL, -res, "poll of a resolver socket failed");
        return;
    }

    if (res > 0) {
        rd = (res & ~POLLOUT) != 0 ? s->fd : ARES_SOCKET_BAD;
        wr = (res & POLLOUT) != 0 ? s->fd : ARES_SOCKET_BAD;

        s->inside = 1;
        ares_process_fd(ch->ares, rd, wr);
        s->inside = 0;
    }

    if (s->chan == NULL) {
        v2_rsock_close(s);

    } else {
        v2_rsock_arm(s);
    }

    v2_chan_timer(ch);
    v2_resolve_flush(ch->rs);
}


/* Ends the poll first; its completion comes here again to close. */

static void
v2_rsock_close(v2_rsock_t *s)
{
    if (s->chan != NULL) {
        v2_queue_del(&s->link);
        s->chan = NULL;
    }

    if (s->inside) {
        return;
    }

    if (s->armed != 0) {
        if (!s->canceling) {
            s->canceling = 1;
            v2_ring_cancel(s->ring, &s->op);
        }

        return;
    }

    s->op.done = v2_rsock_on_closed;
    v2_ring_close(s->ring, &s->op, s->dup);
}


static void
v2_rsock_on_closed(v2_op_t *op, int res, unsigned flags)
{
    (void) res;
    (void) flags;

    free(op->owner);
}


/* --- questions and answers --- */


/* What needs no question: names of this host, and the hosts file. 1: q is
 * answered, n 0 with why when there is no address of the family. */

static int
v2_resolve_local(v2_resolve_t *rs, v2_resolve_req_t *q, const char *text,
    v2_family_e family)
{
    size_t     len;
    uint32_t   n;
    v2_addr_t  addrs[V2_RESOLVE_ADDRS];

    n = rs->hosts ? v2_hosts_find(rs->hosts, text, addrs, V2_RESOLVE_ADDRS)
                  : 0;
    len = strlen(text);

    if (n == 0
        && (strcmp(text, "localhost") == 0
            || (len > 10 && strcmp(text + len - 10, ".localhost") == 0)))
    {
        memset(addrs, 0, sizeof(addrs));
        (void) v2_addr_parse(&addrs[0], "127.0.0.1");
        (void) v2_addr_parse(&addrs[1], "::1");
        n = 2;                              /* RFC 6761 section 6.3 */
    }

    if (n == 0) {
        return 0;
    }

    v2_names_pick(&rs->names, q, addrs, n, family);

    if (q->n == 0) {
        q->why = "name has no address";
    }

    return 1;
}


/* Asks unless the answer is known and fresh, or already asked for. */

static void
v2_resolve_question(v2_resolve_t *rs, v2_half_t *h)
{
    v2_chan_t  *ch;

    if (h->state == V2_HALF_ASKING
        || (h->state != V2_HALF_EMPTY && v2_now_ms() < h->until_ms))
    {
        return;
    }

    h->n = 0;

    if (rs->asking_n >= V2_RESOLVE_ASKING) {
        h->state = V2_HALF_FAILED;
        h->why = "too many names are being resolved";
        h->until_ms = v2_now_ms() + V2_RESOLVE_FULL_MS;
        return;
    }

    ch = rs->chan;
    h->state = V2_HALF_ASKING;
    h->chan = ch;
    ch->pending++;
    rs->asking_n++;

    /* may call back at once */

    ares_query(ch->ares, h->name->text, ns_c_in,
               h->six ? ns_t_aaaa : ns_t_a, v2_resolve_on_answer, h);
    v2_chan_timer(ch);
}


static void
v2_resolve_on_answer(void *arg, int status, int timeouts, unsigned char *abuf,
    int alen)
{
    v2_half_t     *h = arg;
    v2_chan_t     *ch;
    v2_resolve_t  *rs;

    (void) timeouts;

    ch = h->chan;
    rs = ch->rs;

    v2_assert(h->state == V2_HALF_ASKING && ch->pending > 0);

    ch->pending--;
    h->chan = NULL;
    rs->asking_n--;

    if (rs->dying) {
        h->state = V2_HALF_EMPTY;
        return;
    }

    if (status == ARES_SUCCESS) {
        v2_resolve_good(h, abuf, alen);

    } else {
        v2_resolve_bad(h, status, abuf, alen);
    }

    v2_names_ready(h->name);
}


static void
v2_resolve_good(v2_half_t *h, const unsigned char *abuf, int alen)
{
    int                     i, rc, n;
    uint32_t                ttl;
    v2_name_t              *e;
    struct ares_addrttl     a4[V2_RESOLVE_ADDRS];
    struct ares_addr6ttl    a6[V2_RESOLVE_ADDRS];

    e = h->name;
    n = V2_RESOLVE_ADDRS;
    ttl = V2_RESOLVE_TTL_MAX;

    rc = h->six ? ares_parse_aaaa_reply(abuf, alen, NULL, a6, &n)
                : ares_parse_a_reply(abuf, alen, NULL, a4, &n);

    if (rc != ARES_SUCCESS || n == 0) {
        v2_resolve_bad(h, rc == ARES_SUCCESS ? ARES_ENODATA : rc, abuf, alen);
        return;
    }

    for (i = 0; i < n; i++) {
        if (h->six) {
            memcpy(e->ip6[i], &a6[i].ip6addr, 16);
            ttl = v2_min(ttl, (uint32_t) v2_max(a6[i].ttl, 0));

        } else {
            memcpy(e->ip4[i], &a4[i].ipaddr, 4);
            ttl = v2_min(ttl, (uint32_t) v2_max(a4[i].ttl, 0));
        }
    }

    ttl = v2_max(ttl, V2_RESOLVE_TTL_MIN);

    h->n = (uint8_t) n;
    h->why = NULL;
    h->state = V2_HALF_GOOD;
    h->until_ms = v2_now_ms() + (uint64_t) ttl * 1000;
    e->first_ms = v2_now_ms();
}


static void
v2_resolve_bad(v2_half_t *h, int status, const unsigned char *abuf, int alen)
{
    uint32_t  ttl;

    h->n = 0;

    switch (status) {

    case ARES_ENOTFOUND:
    case ARES_ENODATA:
    case ARES_EBADNAME:
        ttl = v2_soa_ttl(abuf, alen > 0 ? (size_t) alen : 0, V2_RESOLVE_NEG);
        ttl = v2_min(v2_max(ttl, V2_RESOLVE_NEG_MIN), V2_RESOLVE_NEG_MAX);

        h->state = V2_HALF_NONE;
        h->until_ms = v2_now_ms() + (uint64_t) ttl * 1000;
        h->why = status == ARES_ENOTFOUND ? "no such name"
                 : status == ARES_ENODATA ? "name has no address"
                 : "not a host name";
        return;

    case ARES_ETIMEOUT:
        h->why = "name servers do not answer";
        break;

    case ARES_ECONNREFUSED:

        /* also after SERVFAIL and REFUSED of the last server asked */

        h->why = "name servers fail or cannot be reached";
        break;

    default:
        h->why = "name server sent a bad answer";
        break;
    }

    h->state = V2_HALF_FAILED;
    h->until_ms = v2_now_ms() + V2_RESOLVE_FAIL_MS;
}


static void
v2_resolve_flush(v2_resolve_t *rs)
{
    v2_names_settle(&rs->names);

    if (rs->old != NULL && rs->old->pending == 0) {
        v2_chan_destroy(rs->old);
        rs->old = NULL;
    }
}


static void
v2_resolve_on_wait(v2_timer_t *t)
{
    v2_name_t  *e;

    e = v2_containerof(t, v2_name_t, timer);

    v2_names_ready(e);
    v2_resolve_flush(v2_containerof(e->names, v2_resolve_t, names));
}


static void
v2_resolve_on_flush(v2_timer_t *t)
{
    v2_resolve_flush(v2_containerof(t, v2_resolve_t, flush));
}


/* --- the files --- */


/* A new resolv.conf takes effect in a channel of its own; the questions of the
 * former one end there. */

static void
v2_resolve_look(v2_resolve_t *rs)
{
    v2_chan_t   *ch;
    v2_hosts_t  *hosts;

    rs->look_ms = v2_now_ms() + V2_RESOLVE_LOOK_MS;
    rs->names.six = v2_resolve_six() ? 1 : 0;

    if (v2_resolve_changed(rs->hosts_path, &rs->hosts_stamp)) {
        hosts = v2_hosts_load(rs->hosts_path);

        if (hosts != NULL) {
            v2_hosts_destroy(rs->hosts);
            rs->hosts = hosts;
        }
    }

    if (rs->servers != NULL || rs->old != NULL
        || !v2_resolve_changed(rs->resolv_path, &rs->resolv_stamp))
    {
        return;
    }

    ch = v2_chan_create(rs);

    if (ch == NULL) {
        return;
    }

    v2_log(V2_LOG_NOTICE, NULL, 0, "name servers are read again from \"%s\"",
           rs->resolv_path);

    if (rs->chan->pending == 0) {
        v2_chan_destroy(rs->chan);

    } else {
        rs->old = rs->chan;
    }

    rs->chan = ch;
}


/* Remembers the new stamp. A file that cannot be seen did not change. */

static int
v2_resolve_changed(const char *path, v2_stamp_t *stamp)
{
    v2_stamp_t   now;
    struct stat  st;

    if (access(path, R_OK) == -1 || stat(path, &st) == -1) {
        return 0;
    }

    memset(&now, 0, sizeof(now));
    now.dev = st.st_dev;
    now.ino = st.st_ino;
    now.size = st.st_size;
    now.mtime.tv_sec = st.st_mtim.tv_sec;
    now.mtime.tv_nsec = st.st_mtim.tv_nsec;

    if (memcmp(&now, stamp, sizeof(now)) == 0) {
        return 0;
    }

    *stamp = now;

    return 1;
}


/* Is there a route to the IPv6 internet, with an address to use it from? A
 * connected UDP socket tells without sending anything. */

static int
v2_resolve_six(void)
{
    int                      fd, rc;
    socklen_t                len;
    v2_addr_t                a;
    struct sockaddr_storage  ss;

    memset(&a, 0, sizeof(a));
    (void) v2_addr_parse(&a, "2001:4860:4860::8888");
    a.port = 53;
    len = v2_addr_to_sa(&a, &ss);

    fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd == -1) {
        return 0;
    }

    rc = connect(fd, (struct sockaddr *) &ss, len);
    len = sizeof(ss);

    if (rc == 0) {
        rc = getsockname(fd, (struct sockaddr *) &ss, &len);
    }

    close(fd);

    if (rc == -1) {
        return 0;
    }

    v2_addr_from_sa(&a, (struct sockaddr *) &ss);

    return !v2_addr_private(&a);
}
