/* A folder as panel: node-ID.json, users-ID.json and alive-ID.json in the
 * v2sp answer formats; reports are lines appended to push.jsonl and
 * alive.jsonl. v2_panel_folder.c opens and watches them.
 *
 * Invariants
 *  1. A file that was not touched is not read again. What is bad in it is
 *     said once; the last good content goes on.
 *  2. A line is whole or it is not there: one write, and what a full disk cut
 *     off is taken back.
 *  3. A batch is booked when its whole line is in push.jsonl; after a crash
 *     the file itself says so. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_time.h"
#include "v2_panel_node.h"
#include "v2_panel_text.h"

#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

#define V2_PFILE_TAIL       (64u << 20)     /* searched for a batch */


static v2_int_t v2_pfile_fetch(v2_pnode_t *n, v2_act_e act);
static v2_int_t v2_pfile_read(v2_pnode_t *n, v2_act_e act, v2_answer_t *a);
static v2_int_t v2_pfile_content(int fd, size_t size, v2_answer_t *a);
static int v2_pfile_untouched(const struct stat *a, const struct stat *b);
static v2_int_t v2_pfile_post(v2_pnode_t *n, v2_act_e act, const char *batch,
    const char *body, size_t len);
static void v2_pfile_append(v2_pnode_t *n, int fd, const v2_text_t *line,
    v2_answer_t *a);
static void v2_pfile_id(v2_text_t *t);
static v2_int_t v2_pfile_booked(v2_pnode_t *n, const char *batch);
static v2_int_t v2_pfile_search(int fd, const char *data, size_t len,
    off_t base, const char *batch);
static v2_int_t v2_pfile_error(v2_answer_t *a, int err, const char *call,
    const char *name);


static const size_t  v2_pfile_limits[V2_ACT_FILES] = {
    [V2_ACT_CONFIG]    = V2_CONFIG_MAX,
    [V2_ACT_USERS]     = V2_USERS_MAX,
    [V2_ACT_ALIVELIST] = V2_ALIVE_MAX
};


static v2_int_t
v2_pfile_fetch(v2_pnode_t *n, v2_act_e act)
{
    char         none[] = "{\"alive\":{}}", empty[] = "";
    char        *body;
    v2_answer_t  a;

    memset(&a, 0, sizeof(a));
    a.sent = 1;

    if (v2_pfile_read(n, act, &a) != V2_OK) {
        a.failed = 1;

        if (act == V2_ACT_ALIVELIST) {          /* need not be there */
            a.failed = 0;
            a.status = 200;
            a.body = none;
            a.len = sizeof(none) - 1;
            v2_poll_on_answer(n, &a);
            return V2_OK;
        }
    }

    body = a.body;
    a.body = (body != NULL) ? body : empty;

    v2_poll_on_answer(n, &a);

    free(body);
    return V2_OK;
}


static v2_int_t
v2_pfile_read(v2_pnode_t *n, v2_act_e act, v2_answer_t *a)
{
    int          fd;
    char         name[V2_PFILE_NAME];
    v2_int_t     rc;
    struct stat  st;

    v2_pfile_name(n, act, name);

    if (n->file.dir == -1) {
        v2_pfile_open(n);
    }

    fd = openat(n->file.dir, name, O_RDONLY|O_CLOEXEC|O_NONBLOCK);

    if (fd == -1) {
        v2_pfile_forget(n, act);
        return v2_pfile_error(a, errno, "open()", name);
    }

    rc = V2_OK;

    if (fstat(fd, &st) == -1) {
        rc = v2_pfile_error(a, errno, "fstat()", name);

    } else if (v2_pfile_untouched(&st, &n->file.seen[act])) {
        a->same = 1;

    } else if (!S_ISREG(st.st_mode)
               || (size_t) st.st_size > v2_pfile_limits[act])
    {
        (void) snprintf(a->error, sizeof(a->error), "\"%s\" is no file of at "
                        "most %zu bytes", name, v2_pfile_limits[act]);
        rc = V2_ERROR;

    } else {
        rc = v2_pfile_content(fd, (size_t) st.st_size, a);
        n->file.seen[act] = st;
        a->status = 200;
    }

    (void) close(fd);
    return rc;
}


static v2_int_t
v2_pfile_content(int fd, size_t size, v2_answer_t *a)
{
    ssize_t  got;

    a->body = malloc(size + 1);
    if (a->body == NULL) {
        return v2_pfile_error(a, ENOMEM, "malloc()", "file");
    }

    while (a->len < size) {
        got = read(fd, a->body + a->len, size - a->len);

        if (got == -1 && errno == EINTR) {
            continue;
        }

        if (got <= 0) {
            break;                  /* shorter by now: the parser will say */
        }

        a->len += (size_t) got;
    }

    a->body[a->len] = '\0';
    return V2_OK;
}


static int
v2_pfile_untouched(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev
           && a->st_size == b->st_size
           && a->st_mtim.tv_sec == b->st_mtim.tv_sec
           && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec
           && a->st_ctim.tv_sec == b->st_ctim.tv_sec
           && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}


static v2_int_t
v2_pfile_post(v2_pnode_t *n, v2_act_e act, const char *batch,
    const char *body, size_t len)
{
    int          fd;
    char         empty[] = "";
    v2_text_t    line;
    v2_answer_t  a;

    memset(&a, 0, sizeof(a));
    a.body = empty;

    if (n->file.dir == -1 || n->file.push == -1 || n->file.alive == -1) {
        v2_pfile_open(n);
    }

    fd = (act == V2_ACT_PUSH) ? n->file.push : n->file.alive;

    v2_text_init(&line);

    if (n->file.torn) {
        v2_text_puts(&line, "\n");
    }

    v2_text_puts(&line, "{\"time\":");
    v2_text_uint(&line, (uint64_t) v2_wall_s());
    v2_text_puts(&line, ",\"node\":");
    v2_text_uint(&line, n->conf.node_id);
    v2_text_puts(&line, ",\"id\":\"");

    if (batch != NULL) {
        v2_text_puts(&line, batch);

    } else {
        v2_pfile_id(&line);
    }

    v2_text_puts(&line, "\",\"data\":");
    v2_text_add(&line, body, len);
    v2_text_puts(&line, "}\n");

    if (line.failed) {
        (void) v2_pfile_error(&a, ENOMEM, "malloc()", "line");
        a.failed = 1;

    } else {
        v2_pfile_append(n, fd, &line, &a);

        if (act == V2_ACT_PUSH && !a.failed) {
            (void) fdatasync(fd);
        }
    }

    v2_text_done(&line);
    v2_report_on_answer(n, &a);
    return V2_OK;
}


static void
v2_pfile_append(v2_pnode_t *n, int fd, const v2_text_t *line, v2_answer_t *a)
{
    int           err;
    ssize_t       put;
    struct stat   st;

    if (fstat(fd, &st) == -1) {
        (void) v2_pfile_error(a, errno, "open()", "the report file");
        a->failed = 1;
        return;
    }

    do {
        put = write(fd, line->data, line->len);
    } while (put == -1 && errno == EINTR);

    if (put == (ssize_t) line->len) {
        n->file.torn = 0;
        a->status = 200;
        a->sent = 1;
        return;
    }

    err = (put == -1) ? errno : ENOSPC;

    if (put > 0) {
        n->file.torn = (ftruncate(fd, st.st_size) == -1);
    }

    (void) v2_pfile_error(a, err, "write()", "the report file");
    a->failed = 1;
}


static void
v2_pfile_id(v2_text_t *t)
{
    char      text[40];
    uint8_t   b[16];

    if (getrandom(b, sizeof(b), 0) != sizeof(b)) {
        memset(b, 0, sizeof(b));
    }

    (void) snprintf(text, sizeof(text), "%02x%02x%02x%02x-%02x%02x-4%01x%02x-"
                    "8%01x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2],
                    b[3], b[4], b[5], b[6] & 15, b[7], b[8] & 15, b[9], b[10],
                    b[11], b[12], b[13], b[14], b[15]);
    v2_text_puts(t, text);
}


static v2_int_t
v2_pfile_booked(v2_pnode_t *n, const char *batch)
{
    int          fd;
    char        *data;
    off_t        base;
    ssize_t      got;
    v2_int_t     rc;
    struct stat  st;

    if (n->file.dir == -1) {
        v2_pfile_open(n);
    }

    fd = openat(n->file.dir, "push.jsonl", O_RDWR|O_CLOEXEC);
    if (fd == -1) {
        return V2_ERROR;
    }

    rc = V2_ERROR;
    data = NULL;

    if (fstat(fd, &st) == 0) {
        base = v2_max((off_t) 0, st.st_size - (off_t) V2_PFILE_TAIL);
        data = malloc((size_t) (st.st_size - base) + 1);
        got = (data == NULL) ? -1 : pread(fd, data,
                                          (size_t) (st.st_size - base), base);

        if (got == (ssize_t) (st.st_size - base)) {
            rc = v2_pfile_search(fd, data, (size_t) got, base, batch);
        }
    }

    free(data);
    (void) close(fd);
    return rc;
}


/* A line of this batch without an end was cut off by the crash: taken back. */
static v2_int_t
v2_pfile_search(int fd, const char *data, size_t len, off_t base,
    const char *batch)
{
    char         want[64];
    int          want_len;
    size_t       left;
    const char  *at, *line;

    want_len = snprintf(want, sizeof(want), "\"id\":\"%s\"", batch);
    at = memmem(data, len, want, (size_t) want_len);

    if (at == NULL) {
        return V2_DECLINED;
    }

    left = len - (size_t) (at - data);

    if (memchr(at, '\n', left) != NULL) {
        return V2_OK;
    }

    line = memrchr(data, '\n', (size_t) (at - data));
    line = (line != NULL) ? line + 1 : data;

    return (ftruncate(fd, base + (line - data)) == 0) ? V2_DECLINED
                                                      : V2_ERROR;
}


static v2_int_t
v2_pfile_error(v2_answer_t *a, int err, const char *call, const char *name)
{
    (void) snprintf(a->error, sizeof(a->error), "%s \"%s\" failed (%d: %s) as "
                    "user %u", call, name, err, strerror(err),
                    (unsigned) geteuid());
    return V2_ERROR;
}


extern const v2_panel_t  v2_panel_file;

const v2_panel_t  v2_panel_file = {
    .name   = "file",
    .local  = 1,
    .fetch  = v2_pfile_fetch,
    .post   = v2_pfile_post,
    .booked = v2_pfile_booked
};
