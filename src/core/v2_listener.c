/* Opening sockets with the rights of the master. See v2_listener.h.
 *
 * SO_REUSEPORT lets any process of the same user join an address, so that a
 * second instance or an older backend on the port would take a part of the
 * connections unnoticed. Therefore each address is bound once without it
 * first: that fails when anybody else is there. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_listener.h"
#include "v2_log.h"

#include <sys/socket.h>
#include <unistd.h>

#define V2_LISTENER_BACKLOG     4096

static v2_int_t v2_listener_probe(const v2_addr_t *addr, int udp, char *why,
    size_t size);
static int v2_listener_covers(const v2_addr_t *a, const v2_addr_t *b);
static v2_int_t v2_listener_add(v2_listener_t *l, unsigned i, char *why,
    size_t size);
static v2_int_t v2_listener_socket(v2_listener_t *l, unsigned i, int udp,
    char *why, size_t size);
static int v2_listener_bind(const v2_addr_t *addr, int udp, int shared);


v2_listener_t *
v2_listener_open(const v2_addr_t *addr, int tcp, int udp, unsigned n,
    uint32_t base, int ours, char *why, size_t size)
{
    unsigned        i;
    v2_listener_t  *l;

    if (!ours
        && ((tcp && v2_listener_probe(addr, 0, why, size) != V2_OK)
            || (udp && v2_listener_probe(addr, 1, why, size) != V2_OK)))
    {
        return NULL;
    }

    l = calloc(1, sizeof(v2_listener_t));

    if (l == NULL) {
        (void) snprintf(why, size, "no memory for a listener");
        return NULL;
    }

    l->addr = *addr;
    l->tcp = tcp != 0;
    l->udp = udp != 0;
    l->base = base;

    n = v2_min(n, V2_LISTENER_SOCKS);

    for (i = 0; i < n; i++) {
        if (v2_listener_add(l, i, why, size) != V2_OK) {
            v2_listener_close(l);
            return NULL;
        }
    }

    return l;
}


v2_int_t
v2_listener_grow(v2_listener_t *l, unsigned n)
{
    char      why[160];
    unsigned  i;

    n = v2_min(n, V2_LISTENER_SOCKS);

    for (i = l->n / (l->tcp + l->udp); i < n; i++) {
        if (v2_listener_add(l, i, why, sizeof(why)) != V2_OK) {
            v2_log(V2_LOG_ERR, NULL, 0, "%s", why);
            return V2_ERROR;
        }
    }

    if (l->listening && v2_listener_listen(l, why, sizeof(why)) != V2_OK) {
        v2_log(V2_LOG_ERR, NULL, 0, "%s", why);
        return V2_ERROR;
    }

    return V2_OK;
}


v2_int_t
v2_listener_listen(v2_listener_t *l, char *why, size_t size)
{
    int       err;
    char      text[V2_ADDR_TEXT];
    unsigned  i;

    for (i = 0; i < l->n; i++) {
        if (!l->socks[i].udp && listen(l->socks[i].fd, V2_LISTENER_BACKLOG)
                                == -1)
        {
            err = errno;
            (void) snprintf(why, size, "listen() on %s failed (%d: %s)",
                            v2_addr_print(&l->addr, text, 0), err,
                            strerror(err));
            return V2_ERROR;
        }
    }

    l->listening = 1;

    return V2_OK;
}


void
v2_listener_close(v2_listener_t *l)
{
    unsigned  i;

    for (i = 0; i < l->n; i++) {
        (void) close(l->socks[i].fd);
    }

    free(l);
}


int
v2_listener_same(const v2_listener_t *l, const v2_addr_t *addr, int tcp,
    int udp)
{
    return v2_addr_eq(&l->addr, addr) && l->tcp == (tcp != 0)
           && l->udp == (udp != 0);
}


int
v2_listener_overlaps(const v2_listener_t *l, const v2_addr_t *addr, int tcp,
    int udp)
{
    return l->addr.port == addr->port && ((l->tcp && tcp) || (l->udp && udp))
           && (v2_addr_same_ip(&l->addr, addr)
               || v2_listener_covers(&l->addr, addr)
               || v2_listener_covers(addr, &l->addr));
}


static v2_int_t
v2_listener_probe(const v2_addr_t *addr, int udp, char *why, size_t size)
{
    int   fd, err;
    char  text[V2_ADDR_TEXT];

    fd = v2_listener_bind(addr, udp, 0);

    if (fd != -1) {
        (void) close(fd);
        return V2_OK;
    }

    err = errno;
    (void) v2_addr_print(addr, text, 0);

    switch (err) {

    case EADDRINUSE:
        (void) snprintf(why, size, "%s%s is in use by another program: stop it "
                        "or change the node's port", text,
                        udp ? " (UDP)" : "");
        break;

    case EADDRNOTAVAIL:
        (void) snprintf(why, size, "%s is not an address of this host: change "
                        "ListenIP", text);
        break;

    case EACCES:
        (void) snprintf(why, size, "%s needs root or CAP_NET_BIND_SERVICE",
                        text);
        break;

    default:
        (void) snprintf(why, size, "bind() to %s failed (%d: %s)", text, err,
                        strerror(err));
    }

    return V2_ERROR;
}


/* "::" takes IPv4, too. */

static int
v2_listener_covers(const v2_addr_t *a, const v2_addr_t *b)
{
    static const uint8_t  any[sizeof(a->ip)];

    if (a->family == 4) {
        return b->family == 4 && memcmp(a->ip, any, 4) == 0;
    }

    return memcmp(a->ip, any, 16) == 0;
}


/* One socket of each kind, or none. */

static v2_int_t
v2_listener_add(v2_listener_t *l, unsigned i, char *why, size_t size)
{
    unsigned  n;

    n = l->n;

    if (l->tcp && v2_listener_socket(l, i, 0, why, size) != V2_OK) {
        return V2_ERROR;
    }

    if (l->udp && v2_listener_socket(l, i, 1, why, size) != V2_OK) {

        if (l->n > n) {
            (void) close(l->socks[--l->n].fd);
        }

        return V2_ERROR;
    }

    return V2_OK;
}


static v2_int_t
v2_listener_socket(v2_listener_t *l, unsigned i, int udp, char *why,
    size_t size)
{
    int          fd, err;
    char         text[V2_ADDR_TEXT];
    v2_lsock_t  *s;

    fd = v2_listener_bind(&l->addr, udp, 1);

    if (fd == -1) {
        err = errno;
        (void) snprintf(why, size, "socket %u of %s cannot be opened (%d: %s)",
                        i, v2_addr_print(&l->addr, text, 0), err,
                        strerror(err));
        return V2_ERROR;
    }

    s = &l->socks[l->n++];
    s->fd = fd;
    s->udp = udp != 0;
    s->j = l->base + (udp ? V2_LISTENER_SOCKS : 0) + i;
    s->owner = NULL;

    return V2_OK;
}


/* -1: errno says why. */

static int
v2_listener_bind(const v2_addr_t *addr, int udp, int shared)
{
    int                       fd, on, off, err;
    socklen_t                 len;
    struct sockaddr_storage   ss;

    on = 1;
    off = 0;
    len = v2_addr_to_sa(addr, &ss);

    fd = socket(ss.ss_family, (udp ? SOCK_DGRAM : SOCK_STREAM)
                              |SOCK_NONBLOCK|SOCK_CLOEXEC, 0);

    if (fd == -1) {
        return -1;
    }

    if ((ss.ss_family == AF_INET6
         && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off))
            == -1)
        || (!udp
            && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on))
               == -1)
        || (shared
            && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on))
               == -1)
        || bind(fd, (struct sockaddr *) &ss, len) == -1)
    {
        err = errno;
        (void) close(fd);
        errno = err;
        return -1;
    }

    return fd;
}
