/* The log: what a line looks like, what is folded, and outputs that are slow,
 * full or gone. */
/* needs: src/core/v2_core.c */

#include "../../../src/core/v2_log.c"

#include "../tap.h"

#include <signal.h>

static char  path[] = "/tmp/v2sp-log-XXXXXX";
static int   file = -1;


/* What is in the file by now, which is emptied. */
static char *
text(void)
{
    ssize_t      n;
    static char  buf[256 * 1024];

    n = pread(file, buf, sizeof(buf) - 1, 0);
    buf[n > 0 ? n : 0] = '\0';

    if (ftruncate(file, 0) == -1) {
        exit(2);
    }

    return buf;
}


static int
count(const char *where, const char *what)
{
    int  n;

    for (n = 0; (where = strstr(where, what)) != NULL; n++) {
        where++;
    }

    return n;
}


/* The part behind date, level and pid. */
static const char *
body(const char *level, int worker)
{
    int          n, pid;
    char        *p, *end;
    char         want[64];
    unsigned     i;
    static const char  form[] = "dddd/dd/dd dd:dd:dd ";

    p = text();

    for (i = 0; form[i] != '\0'; i++, p++) {
        if (form[i] == 'd' ? *p < '0' || *p > '9' : *p != form[i]) {
            return "no date";
        }
    }

    n = snprintf(want, sizeof(want), "[%s] ", level);

    if (strncmp(p, want, (size_t) n) != 0) {
        return "no level";
    }

    pid = (int) strtol(p + n, &p, 10);

    if (pid != (int) getpid()) {
        return "no pid";
    }

    if (worker >= 0) {
        n = snprintf(want, sizeof(want), "#%d", worker);

        if (strncmp(p, want, (size_t) n) != 0) {
            return "no worker";
        }

        p += n;
    }

    end = strchr(p, '\n');

    if (end == NULL || end[1] != '\0') {
        return "not one line";
    }

    *end = '\0';

    return p;
}


static size_t
tail(const void *owner, char *out, size_t room)
{
    int  n;

    n = snprintf(out, room, ", client: %s", (const char *) owner);

    return (size_t) n;
}


static void
test_lines(void)
{
    char         name[4000];
    const char  *p;

    static const v2_logctx_t  ctx = {
        88, "relaying", tail, "192.0.2.7:50211"
    };
    static const v2_logctx_t  none = { 0, NULL, NULL, NULL };

    v2_log_init(file, V2_LOG_INFO, -1);

    v2_log(V2_LOG_NOTICE, NULL, 0, "word %d", 7);
    is_str(body("notice", -1), ": word 7", "a line");

    v2_log_set_worker(3);
    v2_log(V2_LOG_INFO, &ctx, ECONNRESET, "recv() failed");
    is_str(body("info", 3), ": *88 recv() failed (104: Connection reset by "
           "peer) while relaying, client: 192.0.2.7:50211",
           "a line with all parts");
    v2_log(V2_LOG_ERR, &none, 0, "plain");
    is_str(body("error", 3), ": plain", "a context without any");

    v2_log(V2_LOG_DEBUG, NULL, 0, "hidden");
    is_str(text(), "", "a level that is not shown");
    v2_log_set_level(V2_LOG_DEBUG);
    is_int(v2_log_level(), V2_LOG_DEBUG, "another level");
    v2_log(V2_LOG_DEBUG, NULL, 0, "shown");
    is_str(body("debug", 3), ": shown", "shows it");
    v2_log_set_level(V2_LOG_INFO);

    v2_log(V2_LOG_WARN, NULL, 0, "name \"%s\"",
           "a\n2026/01/01 [emerg]\x1b\x7f");
    is_str(body("warn", 3), ": name \"a?2026/01/01 [emerg]??\"",
           "control bytes make no second line");

    memset(name, 'x', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    v2_log(V2_LOG_WARN, &ctx, EPERM, "%s", name);
    p = text();
    ok(strlen(p) <= V2_LOG_LINE + 1 && p[strlen(p) - 1] == '\n',
       "a long line is cut, with its end, %zu", strlen(p));

    v2_log_set_worker(-1);
}


static void
test_fold(void)
{
    int    i;
    char  *p;

    v2_log_init(file, V2_LOG_INFO, -1);

    for (i = 0; i < 100; i++) {
        v2_log(V2_LOG_INFO, NULL, 0, "before any tick %d", i);
    }

    is_int(count(text(), "before any tick"), 100, "nothing is folded without "
           "ticks");

    v2_log_tick();

    for (i = 0; i < 1000; i++) {
        v2_log(V2_LOG_INFO, NULL, 0, "often %d", i);
        v2_log(i & 1 ? V2_LOG_WARN : V2_LOG_ERR, NULL, 0, "two levels");
    }

    v2_log(V2_LOG_INFO, NULL, 0, "once");

    p = text();
    is_int(count(p, ": often"), V2_LOG_FOLD, "the first ones are shown");
    is_int(count(p, ": two levels"), 2 * V2_LOG_FOLD, "for each level");
    is_int(count(p, ": once"), 1, "others as well");

    v2_log_tick();
    p = text();
    is_int(count(p, "980 more lines like \"often 19\""), 1, "then their "
           "number");
    is_int(count(p, "480 more lines like \"two levels\""), 2,
           "for each level");
    is_int(count(p, "\n"), 3, "and no more");

    v2_log(V2_LOG_INFO, NULL, 0, "often %d", 0);
    is_int(count(text(), ": often"), 1, "anew after each tick");
    v2_log_tick();
    is_str(text(), "", "a tick without anything");
}


static void
test_levels(void)
{
    size_t  i;

    static const struct {
        const char  *name;
        unsigned     level;
    } rows[] = {
        { "emerg", V2_LOG_EMERG }, { "alert", V2_LOG_ALERT },
        { "crit", V2_LOG_CRIT }, { "error", V2_LOG_ERR },
        { "warn", V2_LOG_WARN }, { "notice", V2_LOG_NOTICE },
        { "info", V2_LOG_INFO }, { "debug", V2_LOG_DEBUG },
        { "INFO", V2_LOG_INFO }, { "Warning", V2_LOG_WARN },
        { "none", V2_LOG_EMERG }, { "trace", V2_LOG_DEBUG },
        { "", 0 }, { "inf", 0 }, { "infos", 0 }, { "9", 0 }
    };

    for (i = 0; i < v2_nelems(rows); i++) {
        is_int(v2_log_parse_level(rows[i].name), rows[i].level,
               "level \"%s\"", rows[i].name);
    }
}


/* A reader that does not read: nothing waits, and what is lost is counted. */
static void
test_pipe(void)
{
    int      i, p[2], n;
    size_t   got, all;
    char     fill[300];
    ssize_t  rc;
    static char  buf[1024 * 1024];

    if (pipe(p) == -1) {
        exit(2);
    }

    memset(fill, 'y', sizeof(fill) - 1);
    fill[sizeof(fill) - 1] = '\0';

    v2_log_init(p[1], V2_LOG_INFO, -1);
    is_int(fcntl(p[1], F_GETFL) & O_NONBLOCK, 0, "the shell's pipe is left as "
           "it was");

    v2_log_tick();

    for (i = 0; i < 1000; i++) {
        v2_log_tick();              /* not folded */
        v2_log(V2_LOG_INFO, NULL, 0, "%d %s", i, fill);
    }

    ok(v2_log_out.held > 0 && v2_log_out.held <= V2_LOG_HELD, "%zu bytes "
       "wait", v2_log_out.held);
    ok(v2_log_out.lost > 0, "%llu lines are lost",
       (unsigned long long) v2_log_out.lost);

    all = 0;
    (void) fcntl(p[0], F_SETFL, O_NONBLOCK);

    for (i = 0; i < 100; i++) {
        while ((rc = read(p[0], buf + all, sizeof(buf) - all - 1)) > 0) {
            all += (size_t) rc;
        }

        v2_log_out.silent = 0;
        v2_log_tick();
    }

    buf[all] = '\0';
    got = (size_t) count(buf, " yyy");
    is_int(count(buf, "log lines were lost"), 1, "their number is told");
    n = 0;
    is_int(sscanf(strstr(buf, "[warn]"), "[warn] %*d: %d log lines were lost",
                  &n), 1, "in its line");
    is_int(n + (int) got, 1000, "every line was written or counted");

    for (i = 0; i < 1000 && got > 0; i++) {
        snprintf(fill, sizeof(fill), ": %d yyy", i);

        if (strstr(buf, fill) == NULL) {
            break;
        }
    }

    is_int(i, (int) got, "the first ones, in order");

    (void) close(p[0]);
    v2_log(V2_LOG_INFO, NULL, 0, "nobody reads");
    pass("a reader that is gone ends nobody");

    v2_log_set_fd(file);
    is_int(fcntl(p[1], F_GETFD), -1, "the old output is closed");
}


static void
test_socket(void)
{
    int      p[2], i;
    char     buf[4096];
    ssize_t  n;

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, p) == -1) {
        exit(2);
    }

    v2_log_init(p[1], V2_LOG_INFO, -1);
    v2_log(V2_LOG_INFO, NULL, 0, "to a socket");
    n = read(p[0], buf, sizeof(buf) - 1);
    buf[n > 0 ? n : 0] = '\0';
    ok(strstr(buf, ": to a socket\n") != NULL, "a socket gets lines");

    for (i = 0; i < 5000; i++) {
        v2_log_tick();
        v2_log(V2_LOG_INFO, NULL, 0, "nobody reads %d", i);
    }

    ok(v2_log_out.held <= V2_LOG_HELD && v2_log_out.lost > 0,
       "nobody waits for it");

    (void) close(p[0]);
    v2_log_out.silent = 0;
    v2_log(V2_LOG_INFO, NULL, 0, "nobody is there");
    pass("nor ends with it");
    v2_log_set_fd(file);
}


static void
test_full(void)
{
    int  fd, i;

    fd = open("/dev/full", O_WRONLY);

    if (fd == -1) {
        pass("# SKIP no /dev/full");
        return;
    }

    v2_log_init(fd, V2_LOG_INFO, -1);

    for (i = 0; i < 10; i++) {
        v2_log(V2_LOG_INFO, NULL, 0, "line");
    }

    is_int(v2_log_out.lost, 10, "a full disk: lines are counted");
    ok(v2_log_out.silent > 0, "and it is left alone for a while");
    v2_log_set_fd(file);
    (void) text();
}


static void
test_access(void)
{
    int   fd;
    char  line[8000];

    v2_log_init(STDERR_FILENO, V2_LOG_INFO, -1);
    is_int(v2_access_on(), 0, "no access log");
    v2_access_write("lost", 4);

    fd = dup(file);
    v2_access_init(fd);
    is_int(v2_access_on(), 1, "an access log");
    v2_access_write("one", 3);
    v2_access_write("two\n", 4);
    v2_access_write("th\nr\x1b" "ee\n\n", 8);
    is_str(text(), "one\ntwo\nth?r?ee\n", "one line each");

    memset(line, 'z', sizeof(line));
    v2_access_write(line, sizeof(line));
    is_int(strlen(text()), V2_LOG_LINE + 1, "a long one is cut");

    v2_access_init(-1);
    is_int(v2_access_on(), 0, "closed");
    is_int(fcntl(fd, F_GETFD), -1, "with its descriptor");
    v2_access_write("lost", 4);
    is_str(text(), "", "nothing is written then");
}


int
main(void)
{
    int  fd;

    (void) signal(SIGPIPE, SIG_IGN);
    file = mkstemp(path);

    if (file == -1) {
        exit(2);
    }

    (void) unlink(path);
    (void) fcntl(file, F_SETFL, O_APPEND);

    /* the tests give their output away, and keep one for themselves */

    fd = dup(file);
    (void) dup2(fd, 100);
    (void) close(fd);
    file = 100;

    test_lines();
    v2_log_init(STDERR_FILENO, V2_LOG_INFO, -1);
    test_fold();
    test_levels();
    v2_log_init(STDERR_FILENO, V2_LOG_INFO, -1);
    test_pipe();
    v2_log_init(STDERR_FILENO, V2_LOG_INFO, -1);
    test_socket();
    v2_log_init(STDERR_FILENO, V2_LOG_INFO, -1);
    test_full();
    test_access();

    return done_testing();
}
