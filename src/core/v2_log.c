/* The log of one process, and its access log. Runs everywhere: in the master
 * with root's rights, in all others without. One line is one write.
 *
 * Invariants
 *  1. Nothing here blocks: a regular file is written directly, anything else
 *     (pipe, terminal, socket) without waiting; what does not fit stays in a
 *     bounded buffer until the next line or tick, and beyond that is counted.
 *  2. A full disk silences an output for a second; the count of lost lines is
 *     the first line after it.
 *  3. Lines of one format and level are folded once V2_LOG_FOLD of them were
 *     shown since the last tick. Without ticks (a process that has no loop)
 *     nothing is folded.
 *  4. Control bytes never reach the output: names come from the network. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_log.h"

#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define V2_LOG_LINE         2048
#define V2_LOG_HELD         (64 * 1024)
#define V2_LOG_FOLD         20
#define V2_LOG_FOLDS        128         /* a power of two */
#define V2_LOG_SAMPLE       120

typedef enum { V2_OUT_FILE, V2_OUT_SOCKET, V2_OUT_POLLED, V2_OUT_NONBLOCK }
    v2_out_e;

/* One place that lines go to. */
typedef struct {
    int          fd;            /* as given, -1: none */
    int          out;           /* written to; own when not fd */
    v2_out_e     kind;
    time_t       silent;        /* nothing is written up to this second */
    uint64_t     lost;
    size_t       held;          /* bytes in buf that did not fit */
    char         buf[V2_LOG_HELD];
} v2_out_t;

/* Lines of one kind since the last tick. */
typedef struct {
    const char  *fmt;
    unsigned     level;
    uint32_t     n;
    char         sample[V2_LOG_SAMPLE];
} v2_fold_t;

static void v2_out_open(v2_out_t *o, int fd);
static void v2_out_close(v2_out_t *o);
static void v2_out_line(v2_out_t *o, const char *line, size_t len);
static int v2_out_flush(v2_out_t *o);
static ssize_t v2_out_write(v2_out_t *o, const char *data, size_t len);
static void v2_out_hold(v2_out_t *o, const char *data, size_t len);
static v2_fold_t *v2_fold_find(const char *fmt, unsigned level);
static size_t v2_log_head(char *line, unsigned level);
static size_t v2_log_text(char *line, size_t n, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static void v2_log_end(char *line, size_t n);

static const char *const  v2_log_names[] = {
    "none", "emerg", "alert", "crit", "error", "warn", "notice", "info",
    "debug"
};

/* other spellings that configurations use */
static const struct {
    const char  *name;
    unsigned     level;
} v2_log_aliases[] = {
    { "none",     V2_LOG_EMERG },
    { "panic",    V2_LOG_EMERG },
    { "fatal",    V2_LOG_EMERG },
    { "critical", V2_LOG_CRIT },
    { "err",      V2_LOG_ERR },
    { "warning",  V2_LOG_WARN },
    { "trace",    V2_LOG_DEBUG }
};

static v2_out_t   v2_log_out = { .fd = STDERR_FILENO, .out = STDERR_FILENO,
                                 .kind = V2_OUT_POLLED };
static v2_out_t   v2_access_out = { .fd = -1, .out = -1 };
static unsigned   v2_log_max = V2_LOG_NOTICE;
static int        v2_log_worker = -1;

static v2_fold_t  v2_folds[V2_LOG_FOLDS];
static unsigned   v2_folds_n;
static int        v2_folding;           /* a tick has been seen */


void
v2_log_init(int fd, unsigned level, int worker)
{
    v2_out_close(&v2_log_out);
    v2_out_open(&v2_log_out, fd);

    v2_log_max = level;
    v2_log_worker = worker;
}


void
v2_log_set_fd(int fd)
{
    int  old;

    old = v2_log_out.fd;

    if (fd == old) {
        return;
    }

    (void) v2_out_flush(&v2_log_out);
    v2_out_close(&v2_log_out);

    if (old > STDERR_FILENO) {
        (void) close(old);
    }

    v2_out_open(&v2_log_out, fd);
}


void
v2_log_set_worker(int worker)
{
    v2_log_worker = worker;
}


void
v2_log_set_level(unsigned level)
{
    v2_log_max = level;
}


unsigned
v2_log_level(void)
{
    return v2_log_max;
}


int
v2_log_fd(void)
{
    return v2_log_out.fd;
}


void
v2_log_tick(void)
{
    size_t      n;
    unsigned    i;
    char        line[V2_LOG_LINE + 2];
    v2_fold_t  *fold;

    v2_folding = 1;

    for (i = 0; v2_folds_n != 0 && i < V2_LOG_FOLDS; i++) {
        fold = &v2_folds[i];

        if (fold->fmt != NULL && fold->n > V2_LOG_FOLD) {
            n = v2_log_head(line, fold->level);
            n += v2_log_text(line, n, "%u more lines like \"%s\"",
                             fold->n - V2_LOG_FOLD, fold->sample);
            v2_log_end(line, n);
        }

        fold->fmt = NULL;
    }

    v2_folds_n = 0;

    (void) v2_out_flush(&v2_log_out);
    (void) v2_out_flush(&v2_access_out);
}


void
v2_log_write(unsigned level, const v2_logctx_t *ctx, int err,
    const char *fmt, ...)
{
    int         rc;
    size_t      n, text;
    char        line[V2_LOG_LINE + 2];
    va_list     ap;
    v2_fold_t  *fold;

    fold = v2_folding ? v2_fold_find(fmt, level) : NULL;

    if (fold != NULL && ++fold->n > V2_LOG_FOLD) {
        return;
    }

    n = v2_log_head(line, level);

    if (ctx != NULL && ctx->number != 0) {
        n += v2_log_text(line, n, "*%" PRIu64 " ", ctx->number);
    }

    text = n;

    va_start(ap, fmt);
    rc = vsnprintf(line + n, V2_LOG_LINE - n, fmt, ap);
    va_end(ap);

    n = rc < 0 ? n : v2_min(n + (size_t) rc, V2_LOG_LINE - 1);

    if (fold != NULL && fold->n == V2_LOG_FOLD) {
        (void) snprintf(fold->sample, sizeof(fold->sample), "%.*s",
                        (int) (n - text), line + text);
    }

    if (err != 0) {
        n += v2_log_text(line, n, " (%d: %s)", err, strerror(err));
    }

    if (ctx != NULL && ctx->action != NULL) {
        n += v2_log_text(line, n, " while %s", ctx->action);
    }

    if (ctx != NULL && ctx->tail != NULL) {
        n += v2_min(ctx->tail(ctx->owner, line + n, V2_LOG_LINE - n),
                    V2_LOG_LINE - n);
    }

    v2_log_end(line, n);
}


unsigned
v2_log_parse_level(const char *name)
{
    unsigned  i;

    for (i = V2_LOG_EMERG; i <= V2_LOG_DEBUG; i++) {
        if (strcasecmp(name, v2_log_names[i]) == 0) {
            return i;
        }
    }

    for (i = 0; i < v2_nelems(v2_log_aliases); i++) {
        if (strcasecmp(name, v2_log_aliases[i].name) == 0) {
            return v2_log_aliases[i].level;
        }
    }

    return 0;
}


void
v2_access_init(int fd)
{
    int  old;

    old = v2_access_out.fd;

    (void) v2_out_flush(&v2_access_out);
    v2_out_close(&v2_access_out);

    if (old > STDERR_FILENO && old != fd) {
        (void) close(old);
    }

    v2_out_open(&v2_access_out, fd);
}


int
v2_access_on(void)
{
    return v2_access_out.fd != -1;
}


void
v2_access_write(const char *line, size_t len)
{
    size_t  i;
    char    text[V2_LOG_LINE + 2];

    if (v2_access_out.fd == -1) {
        return;
    }

    len = v2_min(len, V2_LOG_LINE);

    while (len > 0 && line[len - 1] == '\n') {
        len--;
    }

    for (i = 0; i < len; i++) {
        text[i] = ((unsigned char) line[i] < ' ' || line[i] == 0x7f)
                  ? '?' : line[i];
    }

    text[len++] = '\n';
    v2_out_line(&v2_access_out, text, len);
}


/* A pipe or terminal is opened a second time, because O_NONBLOCK belongs to the
 * open file: set on the one we got, it would change the shell's, too. */

static void
v2_out_open(v2_out_t *o, int fd)
{
    int          flags;
    char         path[32];
    struct stat  st;

    o->fd = fd;
    o->out = fd;
    o->kind = V2_OUT_FILE;
    o->silent = 0;
    o->lost = 0;
    o->held = 0;

    if (fd == -1 || fstat(fd, &st) == -1 || S_ISREG(st.st_mode)) {
        return;
    }

    if (S_ISSOCK(st.st_mode)) {
        o->kind = V2_OUT_SOCKET;
        return;
    }

    flags = fcntl(fd, F_GETFL);

    if (flags != -1 && (flags & O_NONBLOCK)) {
        o->kind = V2_OUT_NONBLOCK;
        return;
    }

    (void) snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    o->out = open(path, O_WRONLY|O_NONBLOCK|O_APPEND|O_NOCTTY|O_CLOEXEC);

    if (o->out == -1) {
        o->out = fd;
        o->kind = V2_OUT_POLLED;
        return;
    }

    o->kind = V2_OUT_NONBLOCK;
}


static void
v2_out_close(v2_out_t *o)
{
    if (o->out != o->fd) {
        (void) close(o->out);
    }

    o->out = o->fd = -1;
}


static void
v2_out_line(v2_out_t *o, const char *line, size_t len)
{
    int      err;
    ssize_t  n;

    if (o->fd == -1) {
        return;
    }

    if (v2_out_flush(o) == 0) {
        v2_out_hold(o, line, len);
        return;
    }

    n = v2_out_write(o, line, len);

    if (n == (ssize_t) len) {
        return;
    }

    if (n >= 0) {
        v2_out_hold(o, line + n, len - (size_t) n);
        return;
    }

    err = errno;

    if (err == EAGAIN && o->kind != V2_OUT_FILE) {
        v2_out_hold(o, line, len);
        return;
    }

    if (err == ENOSPC || err == EDQUOT || err == EIO) {
        o->silent = time(NULL) + 1;
    }

    o->lost++;
}


/* Writes what was held and the number of lost lines. 1: the output takes more;
 * 0: it does not now. */

static int
v2_out_flush(v2_out_t *o)
{
    int      n;
    char     line[160];
    ssize_t  done;

    if (o->fd == -1 || o->silent >= time(NULL)) {
        return 0;
    }

    if (o->held != 0) {
        done = v2_out_write(o, o->buf, o->held);

        if (done <= 0) {
            return 0;
        }

        o->held -= (size_t) done;
        memmove(o->buf, o->buf + done, o->held);

        if (o->held != 0) {
            return 0;
        }
    }

    if (o->lost != 0) {
        n = (int) v2_log_head(line, V2_LOG_WARN);
        n += snprintf(line + n, sizeof(line) - (size_t) n,
                      "%" PRIu64 " log lines were lost, the log was full or "
                      "its reader too slow\n", o->lost);

        done = v2_out_write(o, line, (size_t) n);

        if (done < 0) {

            /* a slow reader is asked again soon, a full disk in a second */

            if (errno != EAGAIN) {
                o->silent = time(NULL) + 1;
            }

            return 0;
        }

        o->lost = 0;

        if (done < n) {
            v2_out_hold(o, line + done, (size_t) (n - done));
            return 0;
        }
    }

    return 1;
}


static ssize_t
v2_out_write(v2_out_t *o, const char *data, size_t len)
{
    ssize_t        n;
    struct pollfd  pfd;

    switch (o->kind) {

    case V2_OUT_SOCKET:
        do {
            n = send(o->out, data, len, MSG_DONTWAIT|MSG_NOSIGNAL);
        } while (n == -1 && errno == EINTR);

        return n;

    case V2_OUT_POLLED:
        pfd.fd = o->out;
        pfd.events = POLLOUT;

        if (poll(&pfd, 1, 0) != 1 || !(pfd.revents & POLLOUT)) {
            errno = EAGAIN;
            return -1;
        }

        /* POLLOUT of a pipe is a promise of one page */
        len = v2_min(len, 4096);
        break;

    case V2_OUT_FILE:
    case V2_OUT_NONBLOCK:
        break;
    }

    do {
        n = write(o->out, data, len);
    } while (n == -1 && errno == EINTR);

    return n;
}


static void
v2_out_hold(v2_out_t *o, const char *data, size_t len)
{
    if (o->silent >= time(NULL) || o->held + len > sizeof(o->buf)) {
        o->lost++;
        return;
    }

    memcpy(o->buf + o->held, data, len);
    o->held += len;
}


static v2_fold_t *
v2_fold_find(const char *fmt, unsigned level)
{
    size_t      i;
    unsigned    tries;
    v2_fold_t  *fold;

    i = ((uintptr_t) fmt >> 3) * 31 + level;

    for (tries = 0; tries < 8; tries++, i++) {
        fold = &v2_folds[i % V2_LOG_FOLDS];

        if (fold->fmt == fmt && fold->level == level) {
            return fold;
        }

        if (fold->fmt == NULL) {
            v2_folds_n++;
            fold->fmt = fmt;
            fold->level = level;
            fold->n = 0;
            return fold;
        }
    }

    return NULL;
}


/* "2026/08/19 12:00:00 [info] 4711#2: "; the date is made once a second. */

static size_t
v2_log_head(char *line, unsigned level)
{
    size_t         n;
    time_t         now;
    struct tm      tm;
    static time_t  second;
    static char    date[24];

    now = time(NULL);

    if (now != second || date[0] == '\0') {
        second = now;
        (void) localtime_r(&now, &tm);
        (void) strftime(date, sizeof(date), "%Y/%m/%d %H:%M:%S", &tm);
    }

    level = v2_min(level, (unsigned) V2_LOG_DEBUG);
    n = (size_t) sprintf(line, "%s [%s] %d", date, v2_log_names[level],
                         (int) getpid());

    if (v2_log_worker >= 0) {
        n += (size_t) sprintf(line + n, "#%d", v2_log_worker);
    }

    line[n++] = ':';
    line[n++] = ' ';

    return n;
}


static size_t
v2_log_text(char *line, size_t n, const char *fmt, ...)
{
    int      rc;
    va_list  ap;

    va_start(ap, fmt);
    rc = vsnprintf(line + n, V2_LOG_LINE - n, fmt, ap);
    va_end(ap);

    return rc < 0 ? 0 : v2_min((size_t) rc, V2_LOG_LINE - 1 - n);
}


static void
v2_log_end(char *line, size_t n)
{
    size_t  i;

    for (i = 0; i < n; i++) {
        if ((unsigned char) line[i] < ' ' || line[i] == 0x7f) {
            line[i] = '?';
        }
    }

    line[n++] = '\n';
    v2_out_line(&v2_log_out, line, n);
}
