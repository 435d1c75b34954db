/* Lines of reports as JSON, the same for every panel of this family.
 *
 * Invariants
 *  1. A user is one member, whatever number of addresses he has.
 *  2. A user who was reported and left is listed once with no address: the
 *     panel frees his devices at once. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_bill.h"
#include "v2_panel_lines.h"

#define V2_ONLINE_FIRST     256

typedef struct {
    uint64_t    user;
    v2_addr_t   ip;
} v2_online_row_t;

typedef struct {
    v2_online_row_t  *row;
    uint32_t          n, cap;
    uint64_t          min_bytes;
    unsigned          failed:1;
} v2_online_rows_t;


static void v2_lines_add(void *owner, const v2_bill_line_t *line);
static void v2_lines_member(v2_text_t *t, uint64_t user);
static void v2_online_row(void *owner, uint64_t user, const v2_addr_t *ip,
    uint64_t traffic);
static int v2_online_order(const void *a, const void *b);
static void v2_lines_write(const v2_online_rows_t *rows,
    const v2_online_t *before, v2_online_t *now, v2_text_t *out);
static void v2_lines_gone(const v2_online_t *before, uint32_t *at,
    uint64_t until, v2_text_t *out);


void
v2_lines_batch(v2_shm_t *shm, uint32_t slot, v2_lines_t *lines)
{
    memset(lines, 0, sizeof(*lines));

    v2_text_puts(&lines->text, "{");
    v2_bill_lines(shm, slot, v2_lines_add, lines);
    v2_text_puts(&lines->text, "}");
}


v2_int_t
v2_lines_online(v2_shm_t *shm, uint32_t slot, uint32_t since,
    uint64_t min_bytes, const v2_online_t *before, v2_online_t *now,
    v2_text_t *out)
{
    v2_online_rows_t  rows;

    memset(&rows, 0, sizeof(rows));
    rows.min_bytes = min_bytes;
    v2_text_init(out);
    now->n = 0;
    now->user = NULL;

    v2_bill_alive(shm, slot, since, v2_online_row, &rows);

    if (rows.n != 0) {
        qsort(rows.row, rows.n, sizeof(rows.row[0]), v2_online_order);
        now->user = malloc(rows.n * sizeof(now->user[0]));
    }

    if (!rows.failed && (rows.n == 0 || now->user != NULL)) {
        v2_lines_write(&rows, before, now, out);

    } else {
        out->failed = 1;
    }

    free(rows.row);

    if (out->failed) {
        v2_text_done(out);
        free(now->user);
        now->user = NULL;
        now->n = 0;
        return V2_ERROR;
    }

    return V2_OK;
}


v2_int_t
v2_online_join(v2_online_t *a, const v2_online_t *b)
{
    uint32_t   i, j, n;
    uint64_t  *user;

    if (b->n == 0) {
        return V2_OK;
    }

    user = malloc(((size_t) a->n + b->n) * sizeof(user[0]));
    if (user == NULL) {
        return V2_ERROR;
    }

    i = j = n = 0;

    while (i < a->n || j < b->n) {

        if (j == b->n || (i < a->n && a->user[i] <= b->user[j])) {
            j += (j < b->n && a->user[i] == b->user[j]);
            user[n++] = a->user[i++];

        } else {
            user[n++] = b->user[j++];
        }
    }

    free(a->user);
    a->user = user;
    a->n = n;

    return V2_OK;
}


static void
v2_lines_add(void *owner, const v2_bill_line_t *line)
{
    v2_lines_t  *lines = owner;

    v2_lines_member(&lines->text, line->user);
    v2_text_puts(&lines->text, "[");
    v2_text_uint(&lines->text, line->up);
    v2_text_puts(&lines->text, ",");
    v2_text_uint(&lines->text, line->down);
    v2_text_puts(&lines->text, "]");

    lines->up += line->up;
    lines->down += line->down;
    lines->users++;
}


static void
v2_lines_member(v2_text_t *t, uint64_t user)
{
    v2_text_puts(t, (t->len > 1) ? ",\"" : "\"");
    v2_text_uint(t, user);
    v2_text_puts(t, "\":");
}


static void
v2_online_row(void *owner, uint64_t user, const v2_addr_t *ip,
    uint64_t traffic)
{
    uint32_t           cap;
    v2_online_row_t   *row;
    v2_online_rows_t  *rows = owner;

    if (traffic < rows->min_bytes || rows->failed) {
        return;
    }

    if (rows->n == rows->cap) {
        cap = (rows->cap != 0) ? rows->cap * 2 : V2_ONLINE_FIRST;

        row = realloc(rows->row, cap * sizeof(row[0]));
        if (row == NULL) {
            rows->failed = 1;
            return;
        }

        rows->row = row;
        rows->cap = cap;
    }

    rows->row[rows->n].user = user;
    rows->row[rows->n].ip = *ip;
    rows->n++;
}


static int
v2_online_order(const void *a, const void *b)
{
    const v2_online_row_t  *x = a, *y = b;

    if (x->user != y->user) {
        return (x->user < y->user) ? -1 : 1;
    }

    if (x->ip.family != y->ip.family) {
        return x->ip.family - y->ip.family;
    }

    return memcmp(x->ip.ip, y->ip.ip, sizeof(x->ip.ip));
}


static void
v2_lines_write(const v2_online_rows_t *rows, const v2_online_t *before,
    v2_online_t *now, v2_text_t *out)
{
    char       ip[V2_ADDR_TEXT];
    uint32_t   i, at;
    uint64_t   user;

    at = 0;
    v2_text_puts(out, "{");

    for (i = 0; i < rows->n; i++) {
        user = rows->row[i].user;

        if (i == 0 || user != rows->row[i - 1].user) {
            if (i != 0) {
                v2_text_puts(out, "]");
            }

            v2_lines_gone(before, &at, user, out);
            v2_lines_member(out, user);
            v2_text_puts(out, "[");
            now->user[now->n++] = user;

        } else {
            v2_text_puts(out, ",");
        }

        v2_text_json(out, v2_addr_print(&rows->row[i].ip, ip, 1));
    }

    if (rows->n != 0) {
        v2_text_puts(out, "]");
    }

    v2_lines_gone(before, &at, UINT64_MAX, out);
    v2_text_puts(out, "}");
}


/* Members with no address for those before `until`; that one is passed. */
static void
v2_lines_gone(const v2_online_t *before, uint32_t *at, uint64_t until,
    v2_text_t *out)
{
    while (*at < before->n && before->user[*at] < until) {
        v2_lines_member(out, before->user[*at]);
        v2_text_puts(out, "[]");
        (*at)++;
    }

    if (*at < before->n && before->user[*at] == until) {
        (*at)++;
    }
}
