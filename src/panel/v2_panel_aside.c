/* Batches of which nobody knows whether the panel booked them. They are not
 * pushed again, because panels add up blindly; they are kept in
 * StateDir/aside/ID.json for the admin, who can compare and correct.
 *
 * Invariants
 *  1. The file is whole and on the disk before the caller settles the batch.
 *  2. One crit line a batch, with its totals, even when the disk is full. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_bill.h"
#include "v2_time.h"
#include "v2_panel_lines.h"
#include "v2_panel_node.h"

#include <fcntl.h>
#include <unistd.h>

static v2_int_t v2_aside_file(const char *dir, const char *id,
    const v2_text_t *text);
static v2_int_t v2_aside_put(const char *path, const v2_text_t *text);


void
v2_aside_write(v2_pctx_t *ctx, const v2_pnode_t *n, uint32_t slot,
    const char *why)
{
    int          err;
    char         dir[4096];
    v2_text_t    text;
    v2_lines_t   lines;
    const char  *id;

    id = v2_bill_batch(ctx->shm, slot);
    v2_lines_batch(ctx->shm, slot, &lines);

    v2_text_init(&text);
    v2_text_puts(&text, "{\"time\":");
    v2_text_uint(&text, (uint64_t) v2_wall_s());
    v2_text_puts(&text, ",\"node\":");
    v2_text_uint(&text, ctx->shm->nodes[slot].node_id);
    v2_text_puts(&text, ",\"tag\":");
    v2_text_json(&text, (n != NULL) ? n->conf.tag : "");
    v2_text_puts(&text, ",\"id\":");
    v2_text_json(&text, id);
    v2_text_puts(&text, ",\"reason\":");
    v2_text_json(&text, why);
    v2_text_puts(&text, ",\"up\":");
    v2_text_uint(&text, lines.up);
    v2_text_puts(&text, ",\"down\":");
    v2_text_uint(&text, lines.down);
    v2_text_puts(&text, ",\"data\":");
    v2_text_add(&text, lines.text.data, lines.text.len);
    v2_text_puts(&text, "}\n");

    (void) snprintf(dir, sizeof(dir), "%s/aside", ctx->state_dir);

    err = 0;

    if (text.failed || lines.text.failed) {
        err = ENOMEM;

    } else if (v2_aside_file(dir, id, &text) != V2_OK) {
        err = errno;
    }

    v2_log(V2_LOG_CRIT, (n != NULL) ? &n->log : NULL, err, "traffic of %u "
           "users, %" PRIu64 " bytes up and %" PRIu64 " down, is set aside: "
           "%s; batch \"%s/%s.json\"%s", lines.users, lines.up, lines.down,
           why, dir, id, (err == 0) ? ", compare it with the panel"
                                    : " could not be written");

    v2_text_done(&text);
    v2_text_done(&lines.text);
}


void
v2_aside_orphan(v2_pctx_t *ctx, uint32_t slot)
{
    if (v2_bill_state(ctx->shm, slot) == V2_REPORT_PREPARED) {
        v2_bill_release(ctx->shm, slot);
    }

    if (v2_bill_state(ctx->shm, slot) == V2_REPORT_SENDING) {
        v2_aside_write(ctx, NULL, slot, "the process died while it was being "
                       "pushed");
        v2_bill_settle(ctx->shm, slot);
    }

    if (v2_bill_prepare(ctx->shm, slot, 0, 1) != 0) {
        v2_aside_write(ctx, NULL, slot, "its node is no longer in the "
                       "config");
        v2_bill_settle(ctx->shm, slot);
    }
}


static v2_int_t
v2_aside_file(const char *dir, const char *id, const v2_text_t *text)
{
    int   err, fd;
    char  tmp[4352], path[4352];

    if (mkdir(dir, 0700) == -1 && errno != EEXIST) {
        return V2_ERROR;
    }

    (void) snprintf(path, sizeof(path), "%s/%s.json", dir, id);
    (void) snprintf(tmp, sizeof(tmp), "%s/%s.tmp", dir, id);

    if (v2_aside_put(tmp, text) != V2_OK || rename(tmp, path) == -1) {
        err = errno;
        (void) unlink(tmp);
        errno = err;
        return V2_ERROR;
    }

    fd = open(dir, O_RDONLY|O_DIRECTORY|O_CLOEXEC);
    if (fd != -1) {
        (void) fsync(fd);
        (void) close(fd);
    }

    return V2_OK;
}


static v2_int_t
v2_aside_put(const char *path, const v2_text_t *text)
{
    int      fd, err;
    size_t   done;
    ssize_t  n;

    fd = open(path, O_WRONLY|O_CREAT|O_TRUNC|O_CLOEXEC, 0600);
    if (fd == -1) {
        return V2_ERROR;
    }

    for (done = 0; done < text->len; done += (size_t) n) {
        n = write(fd, text->data + done, text->len - done);

        if (n == -1 && errno == EINTR) {
            n = 0;

        } else if (n <= 0) {
            errno = (n == 0) ? ENOSPC : errno;
            goto failed;
        }
    }

    if (fsync(fd) == -1) {
        goto failed;
    }

    return (close(fd) == 0) ? V2_OK : V2_ERROR;

failed:

    err = errno;
    (void) close(fd);
    errno = err;
    return V2_ERROR;
}
