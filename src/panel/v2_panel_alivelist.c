/* A panel's alive list: how many addresses each user has on all nodes. Kept
 * for the device limit, which no part of this version asks for yet.
 *
 * Invariants
 *  1. An answer that cannot be read leaves the last good map: a panel that is
 *     down does not lift a limit.
 *  2. [] and {} are an empty map; an entry that is no number is left out. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_panel_answer.h"
#include "v2_panel_json.h"

#define V2_ALIVE_FIRST      64


static v2_int_t v2_alive_find(const char *body, size_t len, v2_js_t *in);
static v2_int_t v2_alive_add(v2_alive_map_t *map, uint32_t *cap,
    uint64_t user, uint64_t count);


v2_int_t
v2_answer_alive(const char *body, size_t len, v2_alive_map_t *map, char *why,
    size_t size)
{
    v2_js_t         js;
    v2_int_t        rc;
    uint32_t        cap;
    uint64_t        user, count;
    v2_js_val_t     key, v;
    v2_alive_map_t  fresh;

    memset(&fresh, 0, sizeof(fresh));
    cap = 0;

    if (v2_alive_find(body, len, &js) != V2_OK) {
        (void) snprintf(why, size, "the answer has no \"alive\"");
        return V2_ERROR;
    }

    rc = v2_js_enter(&js, '{');         /* [] is an empty map */

    while (rc == V2_OK && (rc = v2_js_member(&js, &key, &v)) == V2_OK) {

        if (v2_js_uint(&key, &user) != V2_OK
            || v2_js_uint(&v, &count) != V2_OK)
        {
            continue;
        }

        if (v2_alive_add(&fresh, &cap, user, count) != V2_OK) {
            (void) snprintf(why, size, "out of memory");
            free(fresh.list);
            return V2_ERROR;
        }
    }

    free(map->list);
    *map = fresh;
    return V2_OK;
}


static v2_int_t
v2_alive_find(const char *body, size_t len, v2_js_t *in)
{
    v2_js_t      js;
    v2_int_t     rc;
    unsigned     found;
    v2_js_val_t  key, v;

    found = 0;

    v2_js_init(&js, body, len);
    rc = v2_js_enter(&js, '{');

    while (rc == V2_OK && (rc = v2_js_member(&js, &key, &v)) == V2_OK) {
        if (v2_js_is(&key, "alive")
            && (v.kind == V2_JS_OBJECT || v.kind == V2_JS_ARRAY))
        {
            v2_js_init(in, v.text, v.len);
            found = 1;
        }
    }

    return (rc == V2_DONE && v2_js_end(&js) && found) ? V2_OK : V2_ERROR;
}


static v2_int_t
v2_alive_add(v2_alive_map_t *map, uint32_t *cap, uint64_t user,
    uint64_t count)
{
    uint32_t           more;
    v2_alive_count_t  *list;

    if (map->n == *cap) {
        more = (*cap != 0) ? *cap * 2 : V2_ALIVE_FIRST;

        list = realloc(map->list, more * sizeof(list[0]));
        if (list == NULL) {
            return V2_ERROR;
        }

        map->list = list;
        *cap = more;
    }

    map->list[map->n].user = user;
    map->list[map->n].count = (uint32_t) v2_min(count, UINT32_MAX);
    map->n++;

    return V2_OK;
}
