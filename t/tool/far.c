/* far: the server at the far end of the end-to-end tests. It counts what it
 * really read and sent, which is what a bill must say.
 *
 *   far PORT [ADDRESS ...]      TCP and UDP on 127.0.0.1, ::1 and ADDRESSes
 *
 * One line per TCP connection says what to do:
 *   D n    send n bytes, FIN, read until EOF
 *   U n    read n bytes, answer "ok\n", FIN, read until EOF
 *   E      echo until EOF, then FIN
 *   F s    read until EOF, wait s seconds, answer "got N\n", FIN
 *   X n    send n bytes, then reset
 *   R n    read n bytes, then reset
 *   Z s    read nothing for s seconds, then until EOF
 *   I      read and keep silent until EOF
 *   P      answer "peer ADDRESS\n", FIN
 *   Q      answer "up N down M open K\n": payload read from and sent to all
 *          other connections, lines included, UDP too; connections now open
 * UDP: echo; a datagram "S n" is answered by one of n bytes.
 *
 * Invariants
 *  1. One thread and one epoll: 20 000 idle connections cost 20 000 small
 *     structs.
 *  2. A byte is counted when the kernel took or gave it, never before.
 *  3. Byte i of a stream is i modulo 251; a wrong one ends the connection. */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BLOCK       (1 << 18)
#define RESET_MS    200

enum { LISTEN, UDP, LINE, SEND, READ, COLLECT, ECHO, WAIT, DRAIN };

typedef struct conn_s  conn_t;

struct conn_s {
    int             fd;
    uint8_t         state;
    char            line[64];
    unsigned        line_n;
    unsigned long   todo, done;     /* bytes of the order */
    char           *rest;           /* echo that was not taken yet */
    size_t          rest_n, rest_at;
    uint64_t        due_ms;         /* in WAIT */
    conn_t         *next;           /* waiting */
};

static int            ep, port, open_n;
static unsigned char  pattern[BLOCK + 256], block[BLOCK];
static unsigned long  total_up, total_down;
static conn_t        *waiting;


static void
die(const char *what)
{
    perror(what);
    exit(2);
}


static uint64_t
now_ms(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000 + (uint64_t) ts.tv_nsec / 1000000;
}


static void
want(conn_t *c, uint32_t events)
{
    struct epoll_event  ev = { .events = events, .data.ptr = c };

    if (epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &ev) != 0) {
        die("epoll_ctl");
    }
}


static conn_t *
add(int fd, uint8_t state)
{
    conn_t              *c;
    struct epoll_event   ev = { .events = EPOLLIN };

    c = calloc(1, sizeof(*c));
    if (c == NULL) {
        die("calloc");
    }

    c->fd = fd;
    c->state = state;
    ev.data.ptr = c;

    if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) != 0) {
        die("epoll_ctl");
    }

    return c;
}


static void
drop(conn_t *c, int reset)
{
    struct linger  l = { 1, 0 };

    if (reset) {
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
    }

    close(c->fd);
    free(c->rest);
    free(c);
    open_n--;
}


/* Nothing is read or written before the time has come. */
static void
wait_ms(conn_t *c, uint64_t ms)
{
    c->state = WAIT;
    c->due_ms = now_ms() + ms;
    c->next = waiting;
    waiting = c;
    want(c, 0);
}


static void
finish(conn_t *c)
{
    shutdown(c->fd, SHUT_WR);
    c->state = DRAIN;
    want(c, EPOLLIN);
}


/* A short answer fits into any socket. */
static void
answer(conn_t *c, const char *text)
{
    ssize_t  n;

    n = send(c->fd, text, strlen(text), MSG_NOSIGNAL);

    if (n > 0 && c->line[0] != 'Q') {
        total_down += (unsigned long) n;
    }

    finish(c);
}


/* ------------------------------------------------------------ orders */

static void
on_send(conn_t *c)
{
    ssize_t  n;
    size_t   step;

    while (c->done < c->todo) {
        step = c->todo - c->done < BLOCK ? c->todo - c->done : BLOCK;
        n = send(c->fd, pattern + c->done % 251, step, MSG_NOSIGNAL);

        if (n < 0) {
            if (errno != EAGAIN) {
                drop(c, 0);
            }

            return;
        }

        c->done += (unsigned long) n;
        total_down += (unsigned long) n;

        if ((size_t) n < step) {
            return;
        }
    }

    if (c->line[0] == 'X') {
        wait_ms(c, RESET_MS);

    } else {
        finish(c);
    }
}


static void
on_read(conn_t *c)
{
    ssize_t  n;
    size_t   step;

    step = c->todo - c->done < BLOCK ? c->todo - c->done : BLOCK;
    n = recv(c->fd, block, step, 0);

    if (n <= 0) {
        drop(c, 0);
        return;
    }

    total_up += (unsigned long) n;

    if (memcmp(block, pattern + c->done % 251, (size_t) n) != 0) {
        fprintf(stderr, "wrong bytes at %lu\n", c->done);
        drop(c, 1);
        return;
    }

    c->done += (unsigned long) n;

    if (c->done == c->todo) {
        if (c->line[0] == 'R') {
            drop(c, 1);

        } else {
            answer(c, "ok\n");
        }
    }
}


static void
on_echo_rest(conn_t *c)
{
    ssize_t  n;

    n = send(c->fd, c->rest + c->rest_at, c->rest_n - c->rest_at,
             MSG_NOSIGNAL);

    if (n < 0) {
        if (errno != EAGAIN) {
            drop(c, 0);
        }

        return;
    }

    total_down += (unsigned long) n;
    c->rest_at += (size_t) n;

    if (c->rest_at == c->rest_n) {
        free(c->rest);
        c->rest = NULL;
        want(c, EPOLLIN);
    }
}


static void
on_echo(conn_t *c)
{
    ssize_t  n, w;

    n = recv(c->fd, block, 65536, 0);

    if (n <= 0) {
        drop(c, 0);
        return;
    }

    total_up += (unsigned long) n;
    w = send(c->fd, block, (size_t) n, MSG_NOSIGNAL);

    if (w < 0) {
        if (errno != EAGAIN) {
            drop(c, 0);
            return;
        }

        w = 0;
    }

    total_down += (unsigned long) w;

    if (w < n) {
        c->rest_n = (size_t) (n - w);
        c->rest_at = 0;
        c->rest = malloc(c->rest_n);
        memcpy(c->rest, block + w, c->rest_n);
        want(c, EPOLLOUT);
    }
}


static void
on_drain(conn_t *c)
{
    ssize_t  n;

    n = recv(c->fd, block, BLOCK, 0);

    if (n > 0) {
        total_up += (unsigned long) n;
        c->done += (unsigned long) n;
        return;
    }

    if (n == 0 && c->state == COLLECT) {
        wait_ms(c, c->todo * 1000);
        return;
    }

    drop(c, 0);
}


static void
on_due(conn_t *c)
{
    char  text[64];

    switch (c->line[0]) {

    case 'F':
        snprintf(text, sizeof(text), "got %lu\n", c->done);
        answer(c, text);
        return;

    case 'X':
        drop(c, 1);
        return;

    default:
        c->state = DRAIN;
        want(c, EPOLLIN);
    }
}


static void
answer_peer(conn_t *c)
{
    char                     text[128], host[INET6_ADDRSTRLEN];
    socklen_t                len;
    struct sockaddr_storage  a;

    len = sizeof(a);

    if (getpeername(c->fd, (struct sockaddr *) &a, &len) != 0) {
        drop(c, 0);
        return;
    }

    inet_ntop(a.ss_family, a.ss_family == AF_INET
              ? (const void *) &((struct sockaddr_in *) (void *) &a)->sin_addr
              : (const void *) &((struct sockaddr_in6 *) (void *) &a)
                               ->sin6_addr,
              host, sizeof(host));
    snprintf(text, sizeof(text), "peer %s\n", host);
    answer(c, text);
}


static void
start(conn_t *c)
{
    char  text[128];

    c->todo = strtoul(c->line + 1, NULL, 10);

    switch (c->line[0]) {

    case 'D':
    case 'X':
        c->state = SEND;
        want(c, EPOLLOUT);
        return;

    case 'U':
    case 'R':
        c->state = READ;

        if (c->todo == 0) {
            answer(c, "ok\n");
        }

        return;

    case 'E':
        c->state = ECHO;
        return;

    case 'F':
        c->state = COLLECT;
        return;

    case 'Z':
        wait_ms(c, c->todo * 1000);
        return;

    case 'I':
        c->state = DRAIN;
        return;

    case 'P':
        answer_peer(c);
        return;

    case 'Q':
        snprintf(text, sizeof(text), "up %lu down %lu open %d\n", total_up,
                 total_down, open_n - 1);
        answer(c, text);
        return;

    default:
        drop(c, 0);
    }
}


static void
on_line(conn_t *c)
{
    while (c->line_n < sizeof(c->line) - 1) {
        if (recv(c->fd, c->line + c->line_n, 1, 0) != 1) {
            if (errno != EAGAIN || c->line_n == 0) {
                break;
            }

            return;
        }

        if (c->line[c->line_n++] == '\n') {
            if (c->line[0] != 'Q') {
                total_up += c->line_n;
            }

            start(c);
            return;
        }
    }

    total_up += c->line_n;
    drop(c, 0);
}


/* ------------------------------------------------------------ sockets */

static void
on_accept(conn_t *ls)
{
    int  fd, one = 1;

    while ((fd = accept4(ls->fd, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        (void) add(fd, LINE);
        open_n++;
    }
}


static void
on_udp(int fd)
{
    int                      i;
    ssize_t                  n;
    socklen_t                len;
    struct sockaddr_storage  from;

    for (i = 0; i < 64; i++) {
        len = sizeof(from);
        n = recvfrom(fd, block, 65536, 0, (struct sockaddr *) &from, &len);

        if (n < 0) {
            return;
        }

        total_up += (unsigned long) n;

        if (n > 2 && block[0] == 'S' && block[1] == ' ') {
            block[n < 64 ? n : 64] = 0;
            n = atoi((char *) block + 2);
            memcpy(block, pattern, (size_t) n);
        }

        if (sendto(fd, block, (size_t) n, 0, (struct sockaddr *) &from, len)
            == n)
        {
            total_down += (unsigned long) n;
        }
    }
}


static int
listen_on(const char *host, int type)
{
    int                  fd, v6, one = 1;
    struct sockaddr_in   a4 = { .sin_family = AF_INET };
    struct sockaddr_in6  a6 = { .sin6_family = AF_INET6 };

    a4.sin_port = a6.sin6_port = htons((uint16_t) port);
    v6 = inet_pton(AF_INET6, host, &a6.sin6_addr) == 1;

    if (!v6 && inet_pton(AF_INET, host, &a4.sin_addr) != 1) {
        return -1;
    }

    fd = socket(v6 ? AF_INET6 : AF_INET, type | SOCK_NONBLOCK, 0);
    if (fd == -1) {
        return -1;
    }

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));

    if (v6) {
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
    }

    if (bind(fd, v6 ? (struct sockaddr *) &a6 : (struct sockaddr *) &a4,
             v6 ? sizeof(a6) : sizeof(a4)) != 0
        || (type == SOCK_STREAM && listen(fd, 65535) != 0))
    {
        close(fd);
        return -1;
    }

    (void) add(fd, type == SOCK_STREAM ? LISTEN : UDP);

    return fd;
}


static void
on_event(conn_t *c)
{
    switch (c->state) {
    case LISTEN:    on_accept(c);                               break;
    case UDP:       on_udp(c->fd);                              break;
    case LINE:      on_line(c);                                 break;
    case SEND:      on_send(c);                                 break;
    case READ:      on_read(c);                                 break;
    case ECHO:      c->rest ? on_echo_rest(c) : on_echo(c);     break;
    case COLLECT:
    case DRAIN:     on_drain(c);                                break;
    case WAIT:      want(c, EPOLLET);                           break;
    }
}


/* A connection in WAIT is freed here only: the list stays true. */
static void
run_timers(void)
{
    conn_t    *c, **p;
    uint64_t   now;

    now = now_ms();

    for (p = &waiting; (c = *p) != NULL; /* void */ ) {
        if (c->due_ms > now) {
            p = &c->next;
            continue;
        }

        *p = c->next;
        on_due(c);
    }
}


int
main(int argc, char **argv)
{
    int                 i, n;
    struct rlimit       rl;
    struct epoll_event  ev[256];

    if (argc < 2) {
        fprintf(stderr, "usage: far PORT [ADDRESS ...]\n");
        return 2;
    }

    signal(SIGPIPE, SIG_IGN);
    getrlimit(RLIMIT_NOFILE, &rl);
    rl.rlim_cur = rl.rlim_max;
    setrlimit(RLIMIT_NOFILE, &rl);

    for (i = 0; i < (int) sizeof(pattern); i++) {
        pattern[i] = (unsigned char) (i % 251);
    }

    port = atoi(argv[1]);
    ep = epoll_create1(0);

    (void) listen_on("::1", SOCK_STREAM);       /* a host may have no IPv6 */
    (void) listen_on("::1", SOCK_DGRAM);
    argv[1] = (char *) (uintptr_t) "127.0.0.1";

    for (i = 1; i < argc; i++) {
        if (listen_on(argv[i], SOCK_DGRAM) == -1
            || listen_on(argv[i], SOCK_STREAM) == -1)
        {
            die(argv[i]);
        }
    }

    for ( ;; ) {
        n = epoll_wait(ep, ev, 256, waiting ? 20 : -1);

        for (i = 0; i < n; i++) {
            on_event(ev[i].data.ptr);
        }

        run_timers();
    }
}
