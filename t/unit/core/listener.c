/* Listening sockets: numbers, the moment when they answer, who is in the way,
 * more of them, and none left over when one cannot be had. */
/* needs: src/core/v2_addr.c src/core/v2_log.c src/core/v2_core.c */

#include "../../../src/core/v2_listener.c"

#include "../tap.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>

static char  why[200];


static v2_addr_t
at(const char *ip, unsigned port)
{
    v2_addr_t  a;

    memset(&a, 0, sizeof(a));

    if (v2_addr_parse(&a, ip) != V2_OK) {
        exit(2);
    }

    a.port = (uint16_t) port;

    return a;
}


/* A port that nobody has, TCP or UDP. */
static unsigned
free_port(void)
{
    int                  fd, udp, tries;
    socklen_t            len;
    struct sockaddr_in   sin;

    for (tries = 0; tries < 100; tries++) {
        memset(&sin, 0, sizeof(sin));
        sin.sin_family = AF_INET;
        len = sizeof(sin);
        fd = socket(AF_INET, SOCK_STREAM, 0);
        udp = socket(AF_INET, SOCK_DGRAM, 0);

        if (bind(fd, (struct sockaddr *) &sin, len) == 0
            && getsockname(fd, (struct sockaddr *) &sin, &len) == 0
            && bind(udp, (struct sockaddr *) &sin, len) == 0)
        {
            (void) close(fd);
            (void) close(udp);
            return ntohs(sin.sin_port);
        }

        (void) close(fd);
        (void) close(udp);
    }

    exit(2);
}


static int
connects(const char *ip, unsigned port)
{
    int                       fd, rc;
    v2_addr_t                 a;
    socklen_t                 len;
    struct sockaddr_storage   ss;

    a = at(ip, port);
    len = v2_addr_to_sa(&a, &ss);
    fd = socket(ss.ss_family, SOCK_STREAM, 0);
    rc = connect(fd, (struct sockaddr *) &ss, len);
    (void) close(fd);

    return rc == 0;
}


/* Are the numbers of all sockets their own, each with an open descriptor? */
static int
sound(const v2_listener_t *l)
{
    unsigned  i, k;

    for (i = 0; i < l->n; i++) {
        for (k = 0; k < i; k++) {
            if (l->socks[k].j == l->socks[i].j) {
                return 0;
            }
        }

        if (fcntl(l->socks[i].fd, F_GETFD) != FD_CLOEXEC
            || l->socks[i].j < l->base
            || l->socks[i].j >= l->base + 2 * V2_LISTENER_SOCKS)
        {
            return 0;
        }
    }

    return 1;
}


static void
test_open(void)
{
    unsigned         port;
    v2_addr_t        a;
    v2_listener_t   *l;

    port = free_port();
    a = at("127.0.0.1", port);
    l = v2_listener_open(&a, 1, 1, 3, 1000, 0, why, sizeof(why));
    ok(l != NULL, "three of each kind");
    is_int(l->n, 6, "six sockets");
    ok(sound(l), "each with its number");
    is_int(l->socks[2].j, 1001, "TCP is counted from the base");
    is_int(l->socks[3].j, 1001 + V2_LISTENER_SOCKS, "UDP behind it");
    is_int(connects("127.0.0.1", port), 0, "nobody connects before all is "
           "ready");
    is_int(v2_listener_listen(l, why, sizeof(why)), V2_OK, "ready");
    is_int(connects("127.0.0.1", port), 1, "then they do");

    is_int(v2_listener_grow(l, 5), V2_OK, "two more of each");
    is_int(l->n, 10, "ten sockets");
    ok(sound(l), "each with its number");
    is_int(v2_listener_grow(l, 4), V2_OK, "never fewer");
    is_int(l->n, 10, "ten");
    is_int(v2_listener_grow(l, 1000), V2_OK, "never more than may be");
    is_int(l->n, 2 * V2_LISTENER_SOCKS, "that many");
    ok(sound(l), "each with its number");
    v2_listener_close(l);
    is_int(connects("127.0.0.1", port), 0, "closed");

    a = at("::", port);
    l = v2_listener_open(&a, 1, 0, 1, 0, 0, why, sizeof(why));

    if (l == NULL) {
        pass("# SKIP no IPv6 here");
        return;
    }

    (void) v2_listener_listen(l, why, sizeof(why));
    is_int(connects("127.0.0.1", port), 1, "\"::\" takes IPv4, too");
    v2_listener_close(l);
}


static void
test_taken(void)
{
    unsigned         port;
    v2_addr_t        a, any;
    v2_listener_t   *l, *other;

    port = free_port();
    a = at("127.0.0.1", port);
    any = at("0.0.0.0", port);
    l = v2_listener_open(&a, 1, 0, 2, 0, 0, why, sizeof(why));
    (void) v2_listener_listen(l, why, sizeof(why));

    ok(v2_listener_open(&a, 1, 0, 2, 0, 0, why, sizeof(why)) == NULL,
       "a second instance on an address");
    ok(strstr(why, "in use by another program") != NULL, "is told: %s", why);
    ok(v2_listener_open(&any, 1, 0, 2, 0, 0, why, sizeof(why)) == NULL,
       "nor on one that covers it");

    other = v2_listener_open(&any, 1, 0, 2, 128, 1, why, sizeof(why));
    ok(other != NULL, "but where the first is ours and will close");
    is_int(connects("127.0.0.1", port), 1, "that one serves meanwhile");
    is_int(v2_listener_listen(other, why, sizeof(why)), V2_OK, "the new one "
           "takes over");
    v2_listener_close(l);
    is_int(connects("127.0.0.1", port), 1, "without a gap");
    v2_listener_close(other);

    l = v2_listener_open(&a, 0, 1, 1, 0, 0, why, sizeof(why));
    ok(l != NULL, "UDP alone");
    ok(v2_listener_open(&a, 0, 1, 1, 0, 0, why, sizeof(why)) == NULL,
       "is taken");
    ok(strstr(why, "(UDP) is in use") != NULL, "is told: %s", why);
    other = v2_listener_open(&a, 1, 0, 1, 0, 0, why, sizeof(why));
    ok(other != NULL, "its TCP port is free");
    v2_listener_close(l);
    v2_listener_close(other);

    a = at("192.0.2.1", port);
    ok(v2_listener_open(&a, 1, 0, 1, 0, 0, why, sizeof(why)) == NULL,
       "an address of another host");
    ok(strstr(why, "not an address of this host") != NULL, "is told: %s",
       why);
}


/* A port below 1024 without rights, in a child that gave them up. */
static void
test_rights(void)
{
    int         status;
    FILE       *f;
    pid_t       pid;
    unsigned    first;
    v2_addr_t   a;

    f = fopen("/proc/sys/net/ipv4/ip_unprivileged_port_start", "r");
    first = 1024;

    if (f != NULL) {
        (void) !fscanf(f, "%u", &first);
        (void) fclose(f);
    }

    if (first < 1024 || geteuid() != 0) {
        pass("# SKIP needs root and ports that need it");
        return;
    }

    pid = fork();

    if (pid == 0) {
        a = at("127.0.0.1", 7);

        if (setgid(65534) == -1 || setuid(65534) == -1) {
            _exit(2);
        }

        if (v2_listener_open(&a, 1, 0, 1, 0, 0, why, sizeof(why)) != NULL) {
            _exit(3);
        }

        _exit(strstr(why, "needs root or CAP_NET_BIND_SERVICE") ? 0 : 4);
    }

    (void) waitpid(pid, &status, 0);
    is_int(status, 0, "a port below 1024 without rights is told");
}


/* The last descriptor is gone before the UDP socket of a pair. */
static void
test_limit(void)
{
    int              fd;
    v2_addr_t        a, other;
    struct rlimit    rl, low;
    v2_listener_t   *l;

    a = at("127.0.0.1", free_port());
    l = v2_listener_open(&a, 1, 1, 1, 0, 0, why, sizeof(why));
    other = at("127.0.0.1", free_port());

    fd = dup(0);
    (void) close(fd);
    (void) getrlimit(RLIMIT_NOFILE, &rl);
    low = rl;
    low.rlim_cur = (rlim_t) fd + 3;
    (void) setrlimit(RLIMIT_NOFILE, &low);

    is_int(v2_listener_grow(l, 3), V2_ERROR, "no more descriptors");
    is_int(l->n, 4, "a pair or nothing");
    ok(sound(l), "what is there is whole");
    fd = dup(0);
    ok(fd != -1, "the half of a pair is closed");
    (void) close(fd);
    ok(v2_listener_open(&other, 1, 1, 3, 0, 0, why, sizeof(why)) == NULL,
       "nor for a new one");
    ok(strstr(why, "24: Too many open files") != NULL, "is told: %s", why);

    (void) setrlimit(RLIMIT_NOFILE, &rl);
    is_int(v2_listener_grow(l, 3), V2_OK, "later there are");
    is_int(l->n, 6, "all of them");
    ok(sound(l), "each with its number");
    v2_listener_close(l);
}


static void
test_overlaps(void)
{
    size_t          i;
    v2_addr_t       a;
    v2_listener_t   l;

    static const struct {
        const char  *one, *other;
        int          want;
    } rows[] = {
        { "127.0.0.1", "127.0.0.1", 1 }, { "127.0.0.1", "127.0.0.2", 0 },
        { "0.0.0.0", "127.0.0.1", 1 }, { "127.0.0.1", "0.0.0.0", 1 },
        { "::", "127.0.0.1", 1 }, { "0.0.0.0", "::", 1 },
        { "::", "::1", 1 }, { "::1", "::", 1 },
        { "0.0.0.0", "::1", 0 }, { "::1", "127.0.0.1", 0 }
    };

    memset(&l, 0, sizeof(l));
    l.tcp = 1;

    for (i = 0; i < v2_nelems(rows); i++) {
        l.addr = at(rows[i].one, 443);
        a = at(rows[i].other, 443);
        is_int(v2_listener_overlaps(&l, &a, 1, 1), rows[i].want,
               "%s and %s", rows[i].one, rows[i].other);
        is_int(v2_listener_overlaps(&l, &a, 0, 1), 0, "... not TCP and UDP");
        a.port = 444;
        is_int(v2_listener_overlaps(&l, &a, 1, 1), 0, "... nor another port");
    }

    l.addr = at("127.0.0.1", 443);
    a = l.addr;
    is_int(v2_listener_same(&l, &a, 1, 0), 1, "the same");
    is_int(v2_listener_same(&l, &a, 1, 1), 0, "not with UDP");
    a.port++;
    is_int(v2_listener_same(&l, &a, 1, 0), 0, "not on another port");
}


int
main(void)
{
    v2_log_init(-1, V2_LOG_EMERG, -1);

    test_open();
    test_taken();
    test_rights();
    test_limit();
    test_overlaps();

    return done_testing();
}
