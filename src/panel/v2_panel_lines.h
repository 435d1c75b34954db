/* Lines of reports as JSON: traffic of the open batch, and who is online. */

#ifndef V2_PANEL_LINES_H
#define V2_PANEL_LINES_H

#include "v2_shm.h"
#include "v2_panel_text.h"

typedef struct {
    v2_text_t   text;               /* {"UID":[up,down],...} */
    uint64_t    up, down;
    uint32_t    users;
} v2_lines_t;

/* Of the slot's open batch. The caller frees lines->text. */
void      v2_lines_batch(v2_shm_t *shm, uint32_t slot, v2_lines_t *lines);

typedef struct {
    uint64_t   *user;               /* ascending; heap */
    uint32_t    n;
} v2_online_t;

/* {"UID":["ip",...],...} of users online since `since` (v2_now_s) with at
 * least min_bytes not yet reported; those of `before` who are not among them
 * get []. `now` takes the users listed with an address. V2_ERROR: no memory,
 * nothing to free. */
v2_int_t  v2_lines_online(v2_shm_t *shm, uint32_t slot, uint32_t since,
    uint64_t min_bytes, const v2_online_t *before, v2_online_t *now,
    v2_text_t *out);
/* Adds those of b to a. V2_ERROR: no memory, a as it was. */
v2_int_t  v2_online_join(v2_online_t *a, const v2_online_t *b);

#endif
