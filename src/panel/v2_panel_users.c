/* A panel's user list becomes users in shared memory, element by element: no
 * tree, no copy.
 *
 * The bytes are walked twice: once for their form, so that a list that broke
 * off is refused before anything changes, and once to put the users.
 *
 * Invariants
 *  1. A list is whole or it is nothing: users are removed by a list that was
 *     well-formed to its last byte, and by no other.
 *  2. "users": [] means nobody. null, {} or no "users" is not a list.
 *  3. One bad entry is skipped and counted; it never stops the others.
 *  4. No UUID is logged; an entry is named by its id. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_flat.h"
#include "v2_log.h"
#include "v2_panel_answer.h"
#include "v2_panel_json.h"
#include "v2_panel_text.h"

#include <stdarg.h>

#define V2_UUID_MAX         256
#define V2_RATE_UNIT        125000      /* bytes/s of a Mbit/s */
#define V2_RATE_MOST        1000000     /* Mbit/s; beyond it is no limit */

typedef struct {
    const v2_spec_t     *spec;
    const v2_codec_t    *codec;
    uint64_t             seed;      /* users of another protocol are changed */
    v2_users_t          *users;
    v2_users_answer_t   *a;
} v2_ulist_t;


static v2_int_t v2_ulist_find(const char *body, size_t len, v2_js_t *list,
    v2_users_answer_t *a);
static v2_int_t v2_ulist_walk(v2_ulist_t *u, v2_js_t *js, char close);
static v2_int_t v2_ulist_entry(v2_ulist_t *u, v2_js_t *js);
static void v2_ulist_put(v2_ulist_t *u, v2_users_item_t *item,
    const char *uuid);
static uint32_t v2_ulist_limit(const v2_js_val_t *v);
static void v2_ulist_skip(v2_ulist_t *u, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));


v2_int_t
v2_answer_users(const char *body, size_t len, const v2_spec_t *spec,
    uint32_t slot, uint32_t panel, v2_users_t *users, v2_users_answer_t *a)
{
    char        close;
    v2_js_t     js;
    v2_int_t    rc;
    v2_ulist_t  u;

    memset(a, 0, sizeof(*a));

    u.spec = spec;
    u.codec = v2_codec_find(spec->protocol);
    u.seed = v2_hash64(spec->protocol, strlen(spec->protocol), 0);
    u.users = users;
    u.a = a;

    if (u.codec == NULL || u.codec->index == NULL) {
        (void) snprintf(a->why, sizeof(a->why), "protocol \"%s\" is not "
                        "built yet", spec->protocol);
        return V2_ERROR;
    }

    if (v2_ulist_find(body, len, &js, a) != V2_OK) {
        return V2_ERROR;
    }

    close = (*js.p++ == '[') ? ']' : '}';
    js.first = 1;

    if (v2_users_begin(users, slot, panel) != V2_OK) {
        (void) snprintf(a->why, sizeof(a->why), "the users of the node "
                        "cannot be changed now");
        return V2_AGAIN;
    }

    rc = v2_ulist_walk(&u, &js, close);

    if (rc != V2_OK) {
        v2_users_abort(users);
        return V2_ERROR;
    }

    v2_users_commit(users, &a->stat);
    return V2_OK;
}


/* Checks the form of the whole answer and finds the list in it. */
static v2_int_t
v2_ulist_find(const char *body, size_t len, v2_js_t *list,
    v2_users_answer_t *a)
{
    v2_js_t      js;
    v2_int_t     rc;
    v2_js_val_t  key, v, users;

    memset(&users, 0, sizeof(users));       /* V2_JS_NULL */

    v2_js_init(&js, body, len);
    rc = v2_js_enter(&js, '{');

    while (rc == V2_OK && (rc = v2_js_member(&js, &key, &v)) == V2_OK) {
        if (v2_js_is(&key, "users")) {
            users = v;
        }
    }

    if (rc != V2_DONE || !v2_js_end(&js)) {
        (void) snprintf(a->why, sizeof(a->why), "the answer is not %s",
                        (len > 0 && body[0] == '<') ? "JSON but a web page"
                        : "complete JSON");
        return V2_ERROR;
    }

    /* PHP makes an object of a list with holes; an empty one is no list */

    if (users.kind != V2_JS_ARRAY
        && (users.kind != V2_JS_OBJECT || users.len <= 2
            || memchr(users.text, ':', users.len) == NULL))
    {
        (void) snprintf(a->why, sizeof(a->why),
                        "the answer has no list of \"users\"");
        return V2_ERROR;
    }

    v2_js_init(list, users.text, users.len);
    return V2_OK;
}


static v2_int_t
v2_ulist_walk(v2_ulist_t *u, v2_js_t *js, char close)
{
    v2_int_t     rc;
    v2_js_val_t  key;

    for ( ;; ) {
        rc = v2_js_next(js, close);

        if (rc != V2_OK) {
            break;
        }

        if (close == '}' && v2_js_key(js, &key) != V2_OK) {
            rc = V2_ERROR;
            break;
        }

        rc = v2_ulist_entry(u, js);

        if (rc != V2_OK) {
            break;
        }
    }

    if (rc == V2_DONE) {
        return V2_OK;
    }

    (void) snprintf(u->a->why, sizeof(u->a->why), "entry %u of \"users\" "
                    "cannot be read", u->a->entries);
    return V2_ERROR;
}


static v2_int_t
v2_ulist_entry(v2_ulist_t *u, v2_js_t *js)
{
    char             uuid[V2_UUID_MAX];
    v2_int_t         rc, id_rc, uuid_rc;
    uint64_t         mbit;
    v2_js_val_t      key, v;
    v2_users_item_t  item;

    u->a->entries++;

    if (v2_js_enter(js, '{') != V2_OK) {
        v2_ulist_skip(u, "entry %u is not an object", u->a->entries);
        return v2_js_value(js, &v);
    }

    memset(&item, 0, sizeof(item));
    id_rc = uuid_rc = V2_ERROR;
    uuid[0] = '\0';

    while ((rc = v2_js_member(js, &key, &v)) == V2_OK) {

        if (v2_js_is(&key, "id")) {
            id_rc = v2_js_uint(&v, &item.id);

        } else if (v2_js_is(&key, "uuid")) {
            uuid_rc = v2_js_text(&v, uuid, sizeof(uuid));

        } else if (v2_js_is(&key, "speed_limit")) {
            if (v2_js_uint(&v, &mbit) == V2_OK && mbit <= V2_RATE_MOST) {
                item.rate = mbit * V2_RATE_UNIT;
            }

        } else if (v2_js_is(&key, "device_limit")) {
            item.device_limit = v2_ulist_limit(&v);

        } else if (v2_js_is(&key, "conn_limit")) {
            item.conn_limit = v2_ulist_limit(&v);
        }
    }

    if (rc != V2_DONE) {
        return V2_ERROR;
    }

    if (id_rc != V2_OK || item.id == 0) {
        v2_ulist_skip(u, "entry %u has no usable id, or id 0",
                      u->a->entries);

    } else if (uuid_rc != V2_OK || uuid[0] == '\0') {
        v2_ulist_skip(u, "user %" PRIu64 " has no uuid", item.id);

    } else {
        v2_ulist_put(u, &item, uuid);
    }

    return V2_OK;
}


static void
v2_ulist_put(v2_ulist_t *u, v2_users_item_t *item, const char *uuid)
{
    v2_int_t  rc;

    item->uuid_hash = v2_hash64(uuid, strlen(uuid), u->seed);

    if (u->codec->index(u->spec, uuid, &item->cred) != V2_OK) {
        v2_ulist_skip(u, "the uuid of user %" PRIu64 " cannot be used",
                      item->id);
        return;
    }

    rc = v2_users_put(u->users, item);

    if (rc != V2_OK) {
        v2_ulist_skip(u, "user %" PRIu64 " could not be added: another one "
                      "has the same uuid, or there is no room", item->id);
        return;
    }

    if (item->device_limit != 0 || item->conn_limit != 0) {
        u->a->limited++;
    }
}


static uint32_t
v2_ulist_limit(const v2_js_val_t *v)
{
    uint64_t  n;

    return (v2_js_uint(v, &n) == V2_OK) ? (uint32_t) v2_min(n, UINT32_MAX) : 0;
}


static void
v2_ulist_skip(v2_ulist_t *u, const char *fmt, ...)
{
    va_list  args;

    if (u->a->skipped++ != 0) {
        return;
    }

    va_start(args, fmt);
    (void) vsnprintf(u->a->first, sizeof(u->a->first), fmt, args);
    va_end(args);
}
