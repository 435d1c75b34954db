/* The log of one process: one line is one write(2) with O_APPEND, or through
 * the ring for what is not a regular file. Lines:
 *
 *   2026/08/19 12:00:00 [info] 4711#2: *88 recv() failed (104: Connection
 *   reset by peer) while relaying, client: 192.0.2.7:50211, node: 12, ...
 *
 * (pid#worker, *connection). No period, no capital, quotes around names.
 * Repeated texts are counted and summed once a second. Secrets never. */

#ifndef V2_LOG_H
#define V2_LOG_H

enum {
    V2_LOG_EMERG = 1,   /* cannot run */
    V2_LOG_ALERT,       /* a bug, or the kernel refused what must work */
    V2_LOG_CRIT,        /* the operator will lose data */
    V2_LOG_ERR,         /* our side failed one thing */
    V2_LOG_WARN,        /* works, but change something */
    V2_LOG_NOTICE,      /* life cycle */
    V2_LOG_INFO,        /* the other side's fault */
    V2_LOG_DEBUG        /* compiled in by --with-debug */
};

/* What a line says beyond its text. `tail` appends ", client: ..." to `out`
 * (room bytes) and returns the bytes written; owner is its argument. */
struct v2_logctx_s {
    uint64_t      number;           /* connection number, 0: none */
    const char   *action;           /* " while ACTION", NULL: none */
    size_t      (*tail)(const void *owner, char *out, size_t room);
    const void   *owner;
};

/* Opens the log of this process: fd (not closed by us), lowest level shown.
 * worker: printed after the pid, -1 for none. */
void v2_log_init(int fd, unsigned level, int worker);
void v2_log_set_fd(int fd);             /* after USR1; the old one is closed
                                         * unless it was stderr */
void v2_log_set_worker(int worker);
void v2_log_set_level(unsigned level);
unsigned v2_log_level(void);
int  v2_log_fd(void);

/* Once a second from each process's loop: writes the sums of what was folded,
 * and tries again a file that was full. */
void v2_log_tick(void);

/* err: an errno, 0 for none. */
void v2_log_write(unsigned level, const v2_logctx_t *ctx, int err,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

#define v2_log(level, ctx, err, ...)                                         \
    do {                                                                     \
        if ((unsigned) (level) <= v2_log_level()) {                          \
            v2_log_write(level, ctx, err, __VA_ARGS__);                      \
        }                                                                    \
    } while (0)

#if V2_DEBUG
#define v2_debug(ctx, ...)  v2_log(V2_LOG_DEBUG, ctx, 0, __VA_ARGS__)
#else
#define v2_debug(ctx, ...)  ((void) 0)
#endif

/* "debug" .. "emerg", also warning, error, none (emerg): level, or 0. */
unsigned v2_log_parse_level(const char *name);

/* Access log: one line per finished session, "none" = closed (fd -1). */
void v2_access_init(int fd);
int  v2_access_on(void);
void v2_access_write(const char *line, size_t len);

#endif
