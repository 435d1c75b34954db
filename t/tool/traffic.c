/* traffic: the far ends of the end-to-end tests. It counts what applications
 * really read, which is what a bill must say.
 *
 *   traffic serve PORT          TCP and UDP on 127.0.0.1 and ::1; one line per
 *                               TCP connection says what to do:
 *       D n    send n bytes, FIN, read until EOF
 *       U n    read n bytes, answer "ok\n", FIN, read until EOF
 *       E      echo until EOF, then FIN
 *       F s    read until EOF, wait s seconds, answer "got N\n", FIN
 *       X n    send n bytes, then reset
 *       I      read and keep silent until EOF
 *       Q      answer "up N down M\n": payload read from and sent to all
 *              other connections, lines included; UDP too
 *     UDP: echo; a datagram "S n" is answered by one of n bytes
 *   traffic run [-p PORT] [-v UUID] [-t HOST:PORT] [-j N] [-b BYTES] [-r BPS]
 *               LINE [COUNT]
 *       N clients at once, COUNT connections each, every one sends LINE.
 *       -p: where to connect; -v: speaks VLESS itself (target -t), else it
 *       talks to a tunnel; -b: writes in pieces of so many bytes; -r: reads
 *       so many bytes a second. U n is followed by n bytes. "E n" echoes n
 *       bytes. Prints "ok N fail M up A down B" (payload read by the far end
 *       as far as known here, and read here).
 *   traffic hold -p PORT [-v UUID] [-t HOST:PORT] N SECONDS
 *       opens N connections that echo once, keeps them, prints "held N",
 *       waits for SECONDS or EOF of its input, echoes once more on each,
 *       prints "alive N".
 *   traffic udp -p PORT [-v UUID] [-t HOST:PORT] SIZE COUNT
 *       COUNT datagrams of SIZE, each echoed; prints as run.
 *   traffic raw -p PORT HEX|@FILE [SECONDS]
 *       sends bytes, half closes not; prints "closed", "reset" or "open" and
 *       the hex of what came. */

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BLOCK       (1 << 18)
#define STACK       (256 << 10)

static unsigned char           pattern[BLOCK + 256];
static _Atomic unsigned long   total_up, total_down, ok_n, fail_n;
static int                     port, vless, piece, rate, count = 1;
static unsigned char           uuid[16];
static const char             *target = "127.0.0.1:1", *line_text;


static void
die(const char *what)
{
    perror(what);
    exit(2);
}


/* byte i of a stream is pattern[i % 251] */
static unsigned
phase_of(unsigned long at)
{
    return (unsigned) (at % 251);
}


static int
send_all(int fd, const void *data, size_t n)
{
    size_t       step;
    ssize_t      w;
    const char  *p;

    for (p = data; n; p += w, n -= (size_t) w) {
        step = piece && (size_t) piece < n ? (size_t) piece : n;
        w = send(fd, p, step, MSG_NOSIGNAL);

        if (w <= 0) {
            return -1;
        }
    }

    return 0;
}


static int
send_pattern(int fd, unsigned long n)
{
    size_t         step;
    unsigned long  at;

    for (at = 0; at < n; at += step) {
        step = n - at < BLOCK ? n - at : BLOCK;

        if (send_all(fd, pattern + phase_of(at), step) != 0) {
            return -1;
        }
    }

    return 0;
}


/* Reads up to n bytes (all of them, or until EOF) and checks them. Returns how
 * many came, -1 when one was wrong, -2 on a reset. */
static long
recv_pattern(int fd, unsigned long n, _Atomic unsigned long *sum)
{
    size_t                 step;
    ssize_t                r;
    unsigned long          at;
    static __thread char   b[BLOCK];

    for (at = 0; at < n; at += (unsigned long) r) {
        step = n - at < sizeof(b) ? n - at : sizeof(b);

        if (rate) {
            step = step < (size_t) rate / 10 ? step : (size_t) rate / 10;
            usleep(100000);
        }

        r = recv(fd, b, step, 0);

        if (r < 0) {
            return -2;
        }

        if (r == 0) {
            break;
        }

        if (sum) {
            *sum += (unsigned long) r;
        }

        if (memcmp(b, pattern + phase_of(at), (size_t) r) != 0) {
            fprintf(stderr, "wrong bytes at %lu\n", at);
            return -1;
        }
    }

    return (long) at;
}


/* ------------------------------------------------------------ server */

static long
drain(int fd)
{
    long                  n;
    ssize_t               r;
    static __thread char  b[BLOCK];

    for (n = 0; (r = recv(fd, b, sizeof(b), 0)) > 0; n += r) {
        total_up += (unsigned long) r;
    }

    return n;
}


static void
answer(int fd, const char *text)
{
    if (send_all(fd, text, strlen(text)) == 0) {
        total_down += strlen(text);
    }

    shutdown(fd, SHUT_WR);
    drain(fd);
}


static void
serve_line(int fd, char *line)
{
    long                  n;
    char                  text[96];
    ssize_t               r;
    struct linger         l = { 1, 0 };
    static __thread char  b[65536];

    n = atol(line + 1);

    switch (line[0]) {

    case 'D':
        if (send_pattern(fd, (unsigned long) n) == 0) {
            total_down += (unsigned long) n;
        }

        shutdown(fd, SHUT_WR);
        drain(fd);
        return;

    case 'U':
        if (recv_pattern(fd, (unsigned long) n, &total_up) == n) {
            answer(fd, "ok\n");
        }

        return;

    case 'E':
        while ((r = recv(fd, b, sizeof(b), 0)) > 0) {
            total_up += (unsigned long) r;

            if (send_all(fd, b, (size_t) r) != 0) {
                return;
            }

            total_down += (unsigned long) r;
        }

        shutdown(fd, SHUT_WR);
        return;

    case 'F':
        r = drain(fd);
        sleep((unsigned) n);
        snprintf(text, sizeof(text), "got %ld\n", (long) r);
        answer(fd, text);
        return;

    case 'X':
        if (send_pattern(fd, (unsigned long) n) == 0) {
            total_down += (unsigned long) n;
        }

        usleep(200000);
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
        return;

    case 'I':
        drain(fd);
        return;
    }
}


static void *
serve_conn(void *arg)
{
    int   fd, i;
    char  line[64], text[96];

    fd = (int) (long) arg;

    for (i = 0; i < 63; i++) {
        if (recv(fd, line + i, 1, 0) != 1) {
            close(fd);
            return NULL;
        }

        if (line[i] == '\n') {
            break;
        }
    }

    line[i] = 0;

    if (line[0] == 'Q') {
        snprintf(text, sizeof(text), "up %lu down %lu\n",
                 (unsigned long) total_up, (unsigned long) total_down);
        send_all(fd, text, strlen(text));

    } else {
        total_up += (unsigned long) i + 1;
        serve_line(fd, line);
    }

    close(fd);
    return NULL;
}


static void *
serve_udp(void *arg)
{
    int                      fd, n;
    ssize_t                  r;
    socklen_t                len;
    static __thread char     b[65536];
    struct sockaddr_storage  from;

    fd = (int) (long) arg;

    for ( ;; ) {
        len = sizeof(from);
        r = recvfrom(fd, b, sizeof(b), 0, (struct sockaddr *) &from, &len);

        if (r < 0) {
            continue;
        }

        total_up += (unsigned long) r;

        if (r > 2 && b[0] == 'S' && b[1] == ' ') {
            b[r < 64 ? r : 64] = 0;
            n = atoi(b + 2);
            memcpy(b, pattern, (size_t) n);
            r = n;
        }

        if (sendto(fd, b, (size_t) r, 0, (struct sockaddr *) &from, len) == r)
        {
            total_down += (unsigned long) r;
        }
    }

    return NULL;
}


static void *
serve_tcp(void *arg)
{
    int             ls, fd;
    pthread_t       t;
    pthread_attr_t  at;

    ls = (int) (long) arg;
    pthread_attr_init(&at);
    pthread_attr_setstacksize(&at, STACK + 2 * BLOCK + 65536);
    pthread_attr_setdetachstate(&at, PTHREAD_CREATE_DETACHED);

    for ( ;; ) {
        fd = accept(ls, NULL, NULL);

        if (fd < 0) {
            usleep(1000);
            continue;
        }

        if (pthread_create(&t, &at, serve_conn, (void *) (long) fd) != 0) {
            close(fd);
        }
    }

    return NULL;
}


static int
listen_on(int family, int type)
{
    int                  fd, one = 1;
    struct sockaddr_in   a4 = { .sin_family = AF_INET };
    struct sockaddr_in6  a6 = { .sin6_family = AF_INET6 };

    a4.sin_port = a6.sin6_port = htons((uint16_t) port);
    a4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    a6.sin6_addr = in6addr_loopback;
    fd = socket(family, type, 0);

    if (fd < 0) {
        return -1;
    }

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));

    if (family == AF_INET6) {
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
    }

    if (bind(fd, family == AF_INET ? (struct sockaddr *) &a4
                                   : (struct sockaddr *) &a6,
             family == AF_INET ? sizeof(a4) : sizeof(a6)) != 0
        || (type == SOCK_STREAM && listen(fd, 65535) != 0))
    {
        close(fd);
        return -1;
    }

    return fd;
}


static int
cmd_serve(void)
{
    int        i, fd;
    pthread_t  t;

    static const int  kinds[4][2] = {
        { AF_INET6, SOCK_STREAM }, { AF_INET6, SOCK_DGRAM },
        { AF_INET, SOCK_DGRAM }, { AF_INET, SOCK_STREAM }
    };

    for (i = 0; i < 4; i++) {
        fd = listen_on(kinds[i][0], kinds[i][1]);

        if (fd < 0) {
            if (kinds[i][0] == AF_INET) {
                die("bind");
            }

            continue;                           /* no IPv6 here */
        }

        pthread_create(&t, NULL, kinds[i][1] == SOCK_DGRAM ? serve_udp
                                                           : serve_tcp,
                       (void *) (long) fd);
    }

    printf("ready\n");
    fflush(stdout);
    pause();

    return 0;
}


/* ------------------------------------------------------------ client */

static size_t
vless_head(unsigned char *p, int udp)
{
    char               host[256], *colon;
    size_t             n;
    unsigned           to;
    struct in_addr     a4;
    struct in6_addr    a6;

    snprintf(host, sizeof(host), "%s", target);
    colon = strrchr(host, ':');
    *colon = 0;
    to = (unsigned) atoi(colon + 1);
    n = 0;
    p[n++] = 0;
    memcpy(p + n, uuid, 16);
    n += 16;
    p[n++] = 0;
    p[n++] = udp ? 2 : 1;
    p[n++] = (unsigned char) (to >> 8);
    p[n++] = (unsigned char) to;

    if (host[0] == '[') {
        host[strlen(host) - 1] = 0;
        inet_pton(AF_INET6, host + 1, &a6);
        p[n++] = 3;
        memcpy(p + n, &a6, 16);
        return n + 16;
    }

    if (inet_pton(AF_INET, host, &a4) == 1) {
        p[n++] = 1;
        memcpy(p + n, &a4, 4);
        return n + 4;
    }

    p[n++] = 2;
    p[n++] = (unsigned char) strlen(host);
    memcpy(p + n, host, strlen(host));

    return n + strlen(host);
}


static int
dial(int type)
{
    int                 fd, one = 1;
    struct timeval      tv = { type == SOCK_DGRAM ? 5 : 60, 0 };
    struct sockaddr_in  a = { .sin_family = AF_INET };

    a.sin_port = htons((uint16_t) port);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    fd = socket(AF_INET, type, 0);

    if (fd < 0) {
        return -1;
    }

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));

    if (connect(fd, (struct sockaddr *) &a, sizeof(a)) != 0) {
        close(fd);
        return -1;
    }

    if (type == SOCK_STREAM) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    }

    return fd;
}


static int
read_n(int fd, void *out, size_t n)
{
    char     *p;
    ssize_t   r;

    for (p = out; n; p += r, n -= (size_t) r) {
        r = recv(fd, p, n, 0);

        if (r <= 0) {
            return -1;
        }
    }

    return 0;
}


static int
start_flow(int fd, const char *text)
{
    size_t         n;
    unsigned char  head[512];

    n = vless ? vless_head(head, 0) : 0;
    n += (size_t) snprintf((char *) head + n, sizeof(head) - n, "%s\n", text);

    return send_all(fd, head, n);
}


static int
response(int fd)
{
    unsigned char  h[2];

    return !vless || (read_n(fd, h, 2) == 0 && h[0] == 0 && h[1] == 0) ? 0 : -1;
}


/* One connection; 0 when it went as its line says. */
static int
one_flow(void)
{
    int            fd, rc;
    long           n, got;
    char           b[64];
    ssize_t        r;
    struct linger  l = { 1, 0 };

    fd = dial(SOCK_STREAM);

    if (fd < 0) {
        return -1;
    }

    rc = -1;
    n = atol(line_text + 1);

    if (start_flow(fd, line_text[0] == 'E' ? "E" : line_text) != 0) {
        goto done;
    }

    switch (line_text[0]) {

    case 'D':
    case 'X':
        if (response(fd) != 0) {
            rc = n == 0 ? 0 : -1;
            break;
        }

        got = recv_pattern(fd, (unsigned long) n + 1, &total_down);
        rc = line_text[0] == 'X' ? (got == -2 ? 0 : -1) : (got == n ? 0 : -1);

        if (rc != 0) {
            fprintf(stderr, "read %ld of %ld\n", got, n);
        }

        break;

    case 'U':
        if (send_pattern(fd, (unsigned long) n) != 0 || response(fd) != 0
            || read_n(fd, b, 3) != 0)
        {
            break;
        }

        total_down += 3;
        shutdown(fd, SHUT_WR);
        rc = recv(fd, b, 1, 0) == 0 ? 0 : -1;
        break;

    case 'E':
        if (send_pattern(fd, (unsigned long) n) != 0) {
            break;
        }

        shutdown(fd, SHUT_WR);

        if (response(fd) != 0) {
            break;
        }

        got = recv_pattern(fd, (unsigned long) n + 1, &total_down);
        rc = got == n ? 0 : -1;
        break;

    case 'F':
        if (send_pattern(fd, 1000) != 0) {
            break;
        }

        shutdown(fd, SHUT_WR);

        if (response(fd) != 0) {
            break;
        }

        r = recv(fd, b, sizeof(b), MSG_WAITALL);

        if (r > 0) {
            total_down += (unsigned long) r;
            rc = strncmp(b, "got 1000\n", 9);
        }

        break;

    case 'I':                                   /* a client that resets */
        usleep(100000);
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
        rc = 0;
        break;

    case 'Q':
        if (response(fd) == 0 && (r = recv(fd, b, sizeof(b) - 1, 0)) > 0) {
            b[r] = 0;
            printf("%s", b);
            rc = 0;
        }

        break;
    }

done:

    close(fd);

    return rc;
}


static void *
client(void *arg)
{
    int  i;

    (void) arg;

    for (i = 0; i < count; i++) {
        if (one_flow() == 0) {
            ok_n++;

        } else {
            fail_n++;
        }
    }

    return NULL;
}


static int
cmd_run(int n)
{
    int             i;
    pthread_t      *t;
    pthread_attr_t  at;

    t = calloc((size_t) n, sizeof(*t));
    pthread_attr_init(&at);
    pthread_attr_setstacksize(&at, STACK + 2 * BLOCK + 65536);

    for (i = 0; i < n; i++) {
        if (pthread_create(&t[i], &at, client, NULL) != 0) {
            die("pthread_create");
        }
    }

    for (i = 0; i < n; i++) {
        pthread_join(t[i], NULL);
    }

    if (line_text[0] != 'Q') {
        printf("ok %lu fail %lu down %lu\n", (unsigned long) ok_n,
               (unsigned long) fail_n, (unsigned long) total_down);
    }

    return fail_n ? 1 : 0;
}


static int
cmd_hold(int n, int seconds)
{
    int            i, held, alive, *fds;
    char           b[8];
    struct pollfd  p = { 0, POLLIN, 0 };

    fds = calloc((size_t) n, sizeof(*fds));

    for (i = held = 0; i < n; i++) {
        fds[i] = dial(SOCK_STREAM);

        if (fds[i] >= 0 && start_flow(fds[i], "E") == 0
            && send_all(fds[i], "hello", 5) == 0)
        {
            continue;
        }

        fds[i] = -1;
    }

    for (i = 0; i < n; i++) {
        if (fds[i] >= 0 && response(fds[i]) == 0
            && read_n(fds[i], b, 5) == 0)
        {
            held++;
        }
    }

    printf("held %d\n", held);
    fflush(stdout);
    poll(&p, 1, seconds * 1000);

    for (i = alive = 0; i < n; i++) {
        if (fds[i] >= 0) {
            send_all(fds[i], "again", 5);
        }
    }

    for (i = 0; i < n; i++) {
        if (fds[i] >= 0 && read_n(fds[i], b, 5) == 0
            && memcmp(b, "again", 5) == 0)
        {
            shutdown(fds[i], SHUT_WR);
            alive++;
        }
    }

    for (i = 0; i < n; i++) {
        if (fds[i] >= 0) {
            (void) recv(fds[i], b, 1, 0);
            close(fds[i]);
        }
    }

    printf("alive %d\n", alive);

    return alive == n ? 0 : 1;
}


static int
cmd_udp(int size, int n)
{
    int            fd, i, good;
    ssize_t        r;
    size_t         h;
    unsigned       got;
    unsigned char  b[70000], in[70000];

    fd = dial(vless ? SOCK_STREAM : SOCK_DGRAM);
    piece = 0;

    if (fd < 0) {
        die("connect");
    }

    for (i = good = 0; i < n; i++) {
        h = 0;

        if (vless) {
            h = i == 0 ? vless_head(b, 1) : 0;
            b[h++] = (unsigned char) (size >> 8);
            b[h++] = (unsigned char) size;
        }

        memcpy(b + h, pattern + phase_of((unsigned long) i), (size_t) size);

        if (send_all(fd, b, h + (size_t) size) != 0) {
            break;
        }

        if (vless) {
            if ((i == 0 && response(fd) != 0) || read_n(fd, in, 2) != 0) {
                break;
            }

            got = (unsigned) in[0] << 8 | in[1];
            r = read_n(fd, in, got) == 0 ? (ssize_t) got : -1;

        } else {
            r = recv(fd, in, sizeof(in), 0);
        }

        if (r == size
            && memcmp(in, pattern + phase_of((unsigned long) i), (size_t) size)
               == 0)
        {
            good++;
            total_down += (unsigned long) size;
        }
    }

    close(fd);
    printf("ok %d fail %d down %lu\n", good, n - good,
           (unsigned long) total_down);

    return good == n ? 0 : 1;
}


static int
cmd_raw(const char *hex, int seconds)
{
    int            fd;
    size_t         n;
    ssize_t        r;
    unsigned       v;
    unsigned char  b[8192];
    struct pollfd  p;

    for (n = 0; hex[0] && hex[1] && n < sizeof(b); hex += 2) {
        if (sscanf(hex, "%2x", &v) != 1) {
            break;
        }

        b[n++] = (unsigned char) v;
    }

    fd = dial(SOCK_STREAM);

    if (fd < 0) {
        die("connect");
    }

    if (send_all(fd, b, n) != 0) {
        printf("reset\n");
        return 0;
    }

    p.fd = fd;
    p.events = POLLIN;

    for ( ;; ) {
        if (poll(&p, 1, seconds * 1000) == 0) {
            printf("open\n");
            return 0;
        }

        r = recv(fd, b, sizeof(b), 0);

        if (r <= 0) {
            printf("%s\n", r == 0 ? "closed" : "reset");
            return 0;
        }

        while (r-- > 0) {
            printf("%02x", b[n = 0]);
            memmove(b, b + 1, (size_t) r);
        }

        printf(" ");
    }
}


static void
read_uuid(const char *s)
{
    int       i;
    unsigned  v;

    vless = 1;

    for (i = 0; i < 16; i++) {
        while (*s == '-') {
            s++;
        }

        if (sscanf(s, "%2x", &v) != 1) {
            fprintf(stderr, "bad UUID\n");
            exit(2);
        }

        uuid[i] = (unsigned char) v;
        s += 2;
    }
}


int
main(int argc, char **argv)
{
    int            o, jobs = 1;
    size_t         i;
    const char    *cmd;
    struct rlimit  rl;

    signal(SIGPIPE, SIG_IGN);
    getrlimit(RLIMIT_NOFILE, &rl);
    rl.rlim_cur = rl.rlim_max;
    setrlimit(RLIMIT_NOFILE, &rl);

    for (i = 0; i < sizeof(pattern); i++) {
        pattern[i] = (unsigned char) (i % 251);
    }

    if (argc < 3) {
        fprintf(stderr, "usage: traffic serve|run|hold|udp|raw ...\n");
        return 2;
    }

    cmd = argv[1];
    argc--;
    argv++;

    while ((o = getopt(argc, argv, "p:v:t:j:b:r:")) != -1) {
        switch (o) {
        case 'p': port = atoi(optarg); break;
        case 'v': read_uuid(optarg); break;
        case 't': target = optarg; break;
        case 'j': jobs = atoi(optarg); break;
        case 'b': piece = atoi(optarg); break;
        case 'r': rate = atoi(optarg); break;
        default: return 2;
        }
    }

    argc -= optind;
    argv += optind;

    if (strcmp(cmd, "serve") == 0 && argc == 1) {
        port = atoi(argv[0]);
        return cmd_serve();
    }

    if (strcmp(cmd, "run") == 0 && argc >= 1) {
        line_text = argv[0];
        count = argc > 1 ? atoi(argv[1]) : 1;
        return cmd_run(jobs);
    }

    if (strcmp(cmd, "hold") == 0 && argc == 2) {
        return cmd_hold(atoi(argv[0]), atoi(argv[1]));
    }

    if (strcmp(cmd, "udp") == 0 && argc == 2) {
        return cmd_udp(atoi(argv[0]), atoi(argv[1]));
    }

    if (strcmp(cmd, "raw") == 0 && argc >= 1) {
        return cmd_raw(argv[0], argc > 1 ? atoi(argv[1]) : 3);
    }

    fprintf(stderr, "unknown command\n");
    return 2;
}
