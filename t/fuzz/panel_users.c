/* needs: src/core/v2_core.c src/core/v2_log.c src/core/v2_time.c
 * needs: src/core/v2_flat.c src/panel/v2_panel_users.c
 * needs: src/panel/v2_panel_alivelist.c src/panel/v2_panel_scan.c */
/* libs: -ljansson -lm */

/* A panel's user list. Nothing changes unless the list is whole; what is put
 * has an id and a credential; a list that the strict parser takes is taken
 * here too. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_panel_answer.h"
#include "../unit/panel/codec.h"

#include <jansson.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned  begun, committed, aborted, puts_n;


static void
must(int cond)
{
    if (!cond) {
        abort();
    }
}


v2_int_t
v2_users_begin(v2_users_t *us, uint32_t slot, uint32_t panel)
{
    (void) us;
    (void) slot;
    (void) panel;
    begun++;
    return V2_OK;
}


v2_int_t
v2_users_put(v2_users_t *us, const v2_users_item_t *item)
{
    (void) us;
    must(begun && !committed);
    must(item->id != 0 && item->cred.len != 0);
    puts_n++;
    return V2_OK;
}


void
v2_users_commit(v2_users_t *us, v2_users_stat_t *stat)
{
    (void) us;
    memset(stat, 0, sizeof(*stat));
    committed++;
}


void
v2_users_abort(v2_users_t *us)
{
    (void) us;
    aborted++;
}


static int
strict_list(const char *body, size_t size)
{
    int      list;
    json_t  *root;

    root = json_loadb(body, size, 0, NULL);
    list = json_is_array(json_object_get(root, "users"));
    json_decref(root);

    return list;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char               *body, why[64];
    size_t              i, depth;
    v2_int_t            rc;
    v2_spec_t           spec;
    v2_alive_map_t      map;
    v2_users_answer_t   a;

    memset(&spec, 0, sizeof(spec));
    memset(&map, 0, sizeof(map));
    memcpy(spec.protocol, "vless", 5);
    begun = committed = aborted = puts_n = 0;

    body = malloc(size + 1);
    must(body != NULL);
    memcpy(body, data, size);

    rc = v2_answer_users(body, size, &spec, 0, 1, NULL, &a);

    if (rc == V2_OK) {
        must(committed == 1 && aborted == 0);
        must(puts_n + a.skipped == a.entries);

    } else {
        must(committed == 0 && begun == aborted);
        must(a.why[0] != '\0');
    }

    /* nesting is limited here; the strict parser passes some zero bytes */

    for (i = depth = 0; i < size; i++) {
        depth += (body[i] == '[' || body[i] == '{');
    }

    if (depth < 30 && rc != V2_OK && memchr(body, '\\', size) == NULL
        && memchr(body, '\0', size) == NULL)
    {
        must(!strict_list(body, size));
    }

    (void) v2_answer_alive(body, size, &map, why, sizeof(why));

    free(map.list);
    free(body);
    return 0;
}
