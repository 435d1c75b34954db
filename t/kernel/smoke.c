/* A small end-to-end test without any other program: it starts v2sp with a
 * file panel, speaks VLESS to it itself, and is the destination too. It runs
 * inside the test kernel, where there is no Perl, and on the host.
 *
 *   smoke PROGRAM ENGINE
 *
 * Checked: bytes arrive whole, open connections live through a reload, a new
 * user is let in and a removed one is cut, QUIT ends the program, and the
 * reports hold exactly the bytes that the far ends read. */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tap.h"

#define CONNS       8
#define BLOCK       (1 << 20)
#define WAIT_MS     60000       /* the emulated machine is slow */

static const uint8_t  uuid_one[16] = {
    0x3f, 0x1c, 0x8a, 0x52, 0x7d, 0x0e, 0x4b, 0x69,
    0x9a, 0x41, 0x5c, 0x2f, 0x6e, 0x0b, 0x1d, 0x01
};
static const uint8_t  uuid_two[16] = {
    0x8b, 0x62, 0xd4, 0xe0, 0x1f, 0x37, 0x4c, 0x8a,
    0xb1, 0xd5, 0x0e, 0x9a, 0x7c, 0x3f, 0x2b, 0x02
};

static char                dir[64];
static uint16_t            node_port, echo_port;
static unsigned long long  moved[3];    /* each way, by user */


static void
nap(unsigned ms)
{
    struct timespec  ts;

    ts.tv_sec = ms / 1000;
    ts.tv_nsec = (long) (ms % 1000) * 1000000;
    nanosleep(&ts, NULL);
}


__attribute__((format(printf, 2, 3))) static void
put_file(const char *name, const char *fmt, ...)
{
    char      path[192], temp[256];
    FILE     *f;
    va_list   ap;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    snprintf(temp, sizeof(temp), "%s.new", path);

    f = fopen(temp, "w");
    if (f == NULL) {
        perror(temp);
        exit(1);
    }

    va_start(ap, fmt);
    vfprintf(f, fmt, ap);
    va_end(ap);

    if (fclose(f) != 0 || rename(temp, path) == -1) {
        perror(path);
        exit(1);
    }
}


static int
listen_any(uint16_t *port)
{
    int                 fd;
    socklen_t           len;
    struct sockaddr_in  sin;

    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    len = sizeof(sin);

    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd == -1
        || bind(fd, (struct sockaddr *) &sin, len) == -1
        || listen(fd, 128) == -1
        || getsockname(fd, (struct sockaddr *) &sin, &len) == -1)
    {
        perror("listener");
        exit(1);
    }

    *port = ntohs(sin.sin_port);

    return fd;
}


static int
dial(uint16_t port)
{
    int                 fd;
    struct sockaddr_in  sin;
    struct timeval      tv;

    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;
    sin.sin_port = htons(port);
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd == -1) {
        return -1;
    }

    tv.tv_sec = WAIT_MS / 1000;
    tv.tv_usec = 0;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));

    if (connect(fd, (struct sockaddr *) &sin, sizeof(sin)) == -1) {
        close(fd);
        return -1;
    }

    return fd;
}


static int
send_all(int fd, const void *data, size_t len)
{
    ssize_t         n;
    const uint8_t  *p;

    for (p = data; len > 0; p += n, len -= (size_t) n) {
        n = send(fd, p, len, MSG_NOSIGNAL);
        if (n <= 0) {
            return 0;
        }
    }

    return 1;
}


static int
recv_all(int fd, void *data, size_t len)
{
    ssize_t   n;
    uint8_t  *p;

    for (p = data; len > 0; p += n, len -= (size_t) n) {
        n = recv(fd, p, len, 0);
        if (n <= 0) {
            return 0;
        }
    }

    return 1;
}


/* The destination: a process that sends back what it gets. */

static void *
echo_one(void *arg)
{
    int      fd;
    char     buf[16384];
    ssize_t  n;

    fd = (int) (intptr_t) arg;

    while ((n = recv(fd, buf, sizeof(buf), 0)) > 0) {
        if (!send_all(fd, buf, (size_t) n)) {
            break;
        }
    }

    close(fd);

    return NULL;
}


static pid_t
echo_start(void)
{
    int        fd, conn;
    pid_t      pid;
    pthread_t  thread;

    fd = listen_any(&echo_port);

    pid = fork();
    if (pid != 0) {
        close(fd);
        return pid;
    }

    for ( ;; ) {
        conn = accept(fd, NULL, NULL);
        if (conn == -1) {
            _exit(1);
        }

        if (pthread_create(&thread, NULL, echo_one,
                           (void *) (intptr_t) conn) == 0)
        {
            pthread_detach(thread);
        }
    }
}


/* The client: a VLESS request for the echo port. The answer's header is read
 * with the first bytes that come back. */

static int
vless_open(const uint8_t *uuid)
{
    int      fd;
    uint8_t  req[26];

    fd = dial(node_port);
    if (fd == -1) {
        return -1;
    }

    memset(req, 0, sizeof(req));
    memcpy(req + 1, uuid, 16);
    req[18] = 1;
    req[19] = (uint8_t) (echo_port >> 8);
    req[20] = (uint8_t) echo_port;
    req[21] = 1;
    req[22] = 127;
    req[25] = 1;

    if (!send_all(fd, req, sizeof(req))) {
        close(fd);
        return -1;
    }

    return fd;
}


static int
echo_bytes(int fd, unsigned user, size_t len, int first)
{
    int             same;
    size_t          i;
    uint8_t         head[2], back[4096], out[4096];

    for (i = 0; i < sizeof(out); i++) {
        out[i] = (uint8_t) (i * 31 + len);
    }

    while (len > 0) {
        i = len < sizeof(out) ? len : sizeof(out);

        if (!send_all(fd, out, i)
            || (first && (!recv_all(fd, head, 2) || head[0] || head[1]))
            || !recv_all(fd, back, i))
        {
            return 0;
        }

        first = 0;
        same = memcmp(out, back, i) == 0;
        moved[user] += i;
        len -= i;

        if (!same) {
            return 0;
        }
    }

    return 1;
}


/* Is the far end gone? Waits for it. */
static int
is_cut(int fd)
{
    char           c;
    struct pollfd  p;

    p.fd = fd;
    p.events = POLLIN;

    return poll(&p, 1, WAIT_MS) == 1 && recv(fd, &c, 1, 0) <= 0;
}


static void
write_panel(int second_user, int first_user)
{
    put_file("panel/node-1.json",
             "{\"node_type\":\"vless\",\"server_port\":%u,\"network\":\"tcp\","
             "\"tls\":0,\"base_config\":{\"push_interval\":5,"
             "\"pull_interval\":5}}\n", node_port);

    put_file("panel/users-1.json", "{\"users\":[%s%s%s]}\n",
             first_user ? "{\"id\":1,\"uuid\":"
                          "\"3f1c8a52-7d0e-4b69-9a41-5c2f6e0b1d01\"}" : "",
             first_user && second_user ? "," : "",
             second_user ? "{\"id\":2,\"uuid\":"
                           "\"8b62d4e0-1f37-4c8a-b1d5-0e9a7c3f2b02\"}" : "");
}


static void
write_config(const char *engine)
{
    put_file("route.json",
             "{\"domainStrategy\":\"AsIs\",\"rules\":[{\"type\":\"field\","
             "\"ip\":[\"127.0.0.0/8\"],\"outboundTag\":\"direct\"}]}\n");

    put_file("config.json",
             "{\"Log\":{\"Level\":\"info\",\"Output\":\"%s/log\"},"
             "\"Engine\":\"%s\",\"PidFile\":\"%s/pid\",\"StateDir\":"
             "\"%s/state\",\"Cores\":[{\"Type\":\"xray\",\"Log\":"
             "{\"AccessPath\":\"none\"},\"RouteConfigPath\":"
             "\"%s/route.json\"}],\"Nodes\":[{\"ApiHost\":\"file:%s/panel\","
             "\"ApiKey\":\"k\",\"NodeID\":1,\"NodeType\":\"vless\","
             "\"ListenIP\":\"127.0.0.1\"}]}\n",
             dir, engine, dir, dir, dir, dir);
}


static pid_t
server_start(const char *program)
{
    pid_t  pid;
    char   config[128];

    snprintf(config, sizeof(config), "%s/config.json", dir);

    pid = fork();
    if (pid == 0) {
        execl(program, program, "run", "-c", config, (char *) NULL);
        perror(program);
        _exit(127);
    }

    return pid;
}


static int
server_wait(pid_t pid)
{
    int       fd, status;
    unsigned  ms;

    for (ms = 0; ms < WAIT_MS; ms += 50) {
        fd = dial(node_port);
        if (fd != -1) {
            close(fd);
            return 1;
        }

        if (waitpid(pid, &status, WNOHANG) == pid) {
            diag("the server ended, status %d", status);
            return 0;
        }

        nap(50);
    }

    return 0;
}


/* Waits for a process; its exit code, or -1 when it did not end. */
static int
reap(pid_t pid)
{
    int       status;
    unsigned  ms;

    for (ms = 0; ms < WAIT_MS; ms += 50) {
        if (waitpid(pid, &status, WNOHANG) == pid) {
            return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
        }

        nap(50);
    }

    return -1;
}


static void
file_lines(const char *name, void (*line)(char *text, void *arg), void *arg)
{
    char   path[192], text[4096];
    FILE  *f;

    snprintf(path, sizeof(path), "%s/%s", dir, name);

    f = fopen(path, "r");
    if (f == NULL) {
        return;
    }

    while (fgets(text, sizeof(text), f) != NULL) {
        line(text, arg);
    }

    fclose(f);
}


static void
add_report(char *text, void *arg)
{
    char                *at;
    char                 want[8];
    unsigned             user;
    unsigned long long  *sum, up, down;

    sum = arg;

    for (user = 1; user <= 2; user++) {
        snprintf(want, sizeof(want), "\"%u\":", user);
        at = strstr(text, "\"data\"");
        at = at ? strstr(at, want) : NULL;

        if (at && sscanf(at + 4, " [ %llu , %llu ]", &up, &down) == 2) {
            sum[user * 2] += up;
            sum[user * 2 + 1] += down;
        }
    }
}


static void
count_alerts(char *text, void *arg)
{
    if (strstr(text, "[alert]") || strstr(text, "[emerg]")
        || strstr(text, "[crit]"))
    {
        ++*(unsigned *) arg;
        text[strcspn(text, "\n")] = '\0';
        diag("log: %s", text);
    }
}


static void
show_log(char *text, void *arg)
{
    (void) arg;
    text[strcspn(text, "\n")] = '\0';
    diag("log: %s", text);
}


/* Open connections, a reload in the middle, and more bytes on each of them. */
static void
test_reload(pid_t server)
{
    int       fds[CONNS], good;
    unsigned  i, n;

    good = 0;

    for (i = 0; i < CONNS; i++) {
        fds[i] = vless_open(uuid_one);
        good += fds[i] != -1 && echo_bytes(fds[i], 1, 1000 + i, 1);
    }

    is_int(good, CONNS, "connections before the reload");

    for (n = 0; n < 3; n++) {
        kill(server, SIGHUP);
        nap(1000);
        good = 0;

        for (i = 0; i < CONNS; i++) {
            good += fds[i] != -1 && echo_bytes(fds[i], 1, 70000 + i, 0);
        }

        is_int(good, CONNS, "all of them alive after reload %u", n + 1);
    }

    for (i = 0; i < CONNS; i++) {
        if (fds[i] != -1) {
            close(fds[i]);
        }
    }
}


static void
test_users(void)
{
    int       fd, one, in;
    unsigned  ms;

    one = vless_open(uuid_one);
    ok(one != -1 && echo_bytes(one, 1, 10, 1), "the first user is let in");

    write_panel(1, 1);
    in = 0;

    for (ms = 0; ms < WAIT_MS && !in; ms += 200) {
        fd = vless_open(uuid_two);
        in = fd != -1 && echo_bytes(fd, 2, 5000, 1);

        if (fd != -1) {
            close(fd);
        }

        nap(200);
    }

    ok(in, "a new user is let in");
    ok(one != -1 && echo_bytes(one, 1, 10, 0), "the first one stayed");

    write_panel(1, 0);
    ok(one != -1 && is_cut(one), "a removed user is cut");

    if (one != -1) {
        close(one);
    }

    fd = vless_open(uuid_one);
    ok(fd == -1 || !echo_bytes(fd, 0, 10, 1), "and does not come in again");

    if (fd != -1) {
        close(fd);
    }
}


static void
test_bill(void)
{
    unsigned            alerts;
    unsigned long long  sum[6];

    memset(sum, 0, sizeof(sum));
    file_lines("panel/push.jsonl", add_report, sum);

    is_int(sum[2], moved[1], "bytes up of user 1");
    is_int(sum[3], moved[1], "bytes down of user 1");
    is_int(sum[4], moved[2], "bytes up of user 2");
    is_int(sum[5], moved[2], "bytes down of user 2");

    alerts = 0;
    file_lines("log", count_alerts, &alerts);
    is_int(alerts, 0, "no alerts in the log");
}


int
main(int argc, char **argv)
{
    int    fd;
    pid_t  echo, server;
    char   path[128];

    if (argc != 3) {
        fprintf(stderr, "usage: smoke PROGRAM ENGINE\n");
        return 2;
    }

    signal(SIGPIPE, SIG_IGN);
    plan(17);

    snprintf(dir, sizeof(dir), "/tmp/v2sp-smoke.XXXXXX");

    if (mkdtemp(dir) == NULL || chmod(dir, 0755) == -1) {
        perror(dir);
        return 1;
    }

    snprintf(path, sizeof(path), "%s/panel", dir);
    if (mkdir(path, 0755) == -1) {
        perror(path);
        return 1;
    }

    echo = echo_start();
    close(listen_any(&node_port));
    write_config(argv[2]);
    write_panel(0, 1);

    server = server_start(argv[1]);

    if (!ok(server_wait(server), "the server listens, engine %s", argv[2])) {
        kill(server, SIGKILL);
        kill(echo, SIGKILL);
        file_lines("log", show_log, NULL);
        return 1;
    }

    fd = vless_open(uuid_one);
    ok(fd != -1 && echo_bytes(fd, 1, BLOCK, 1), "one MiB both ways");
    close(fd);

    test_reload(server);
    test_users();

    kill(server, SIGQUIT);

    if (!is_int(reap(server), 0, "QUIT ends the server")) {
        kill(server, SIGKILL);
        file_lines("log", show_log, NULL);
    }

    test_bill();

    kill(echo, SIGKILL);
    waitpid(echo, NULL, 0);

    snprintf(path, sizeof(path), "rm -rf %s", dir);

    return done_testing() | (system(path) != 0);
}
