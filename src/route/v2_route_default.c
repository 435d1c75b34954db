/* The files beside route.json: custom_outbound.json and dns.json. Outbounds
 * other than freedom and blackhole, and resolving by rules, are not built; the
 * files that the older backends ship name nothing else that a flow would use,
 * and are accepted as they are. Runs in the builder.
 *
 * The shipped outbounds, of which any subset in any order is accepted:
 *
 *   IPv4_out      freedom, UseIPv4v6     IPv4, IPv6 where there is no IPv4
 *   IPv6_out      freedom, UseIPv6       IPv6
 *   block         blackhole
 *   direct        freedom                either family
 *   socks5-warp   socks 127.0.0.1:40000  of the example; no rule may name it
 *
 * Invariant: what is accepted here does what it says, or is never used. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_route_json.h"


typedef struct {
    const char      *tag;
    const char      *protocol;
    const char      *strategy;          /* domainStrategy, NULL: AsIs */
    int              built;
    v2_route_way_t   way;
} v2_route_tag_t;


static v2_int_t v2_route_outbound(v2_route_msg_t *m, json_t *object,
    const v2_route_tag_t *t);
static v2_int_t v2_route_outbound_key(v2_route_msg_t *m, const char *key,
    json_t *value, const v2_route_tag_t *t);
static v2_int_t v2_route_settings(v2_route_msg_t *m, json_t *settings,
    const v2_route_tag_t *t);
static int v2_route_is_blackhole(json_t *settings);
static int v2_route_is_warp(json_t *settings);
static const v2_route_tag_t *v2_route_tag_find(const char *tag);
static v2_int_t v2_route_servers(v2_route_msg_t *m, const json_t *servers);


static const v2_route_tag_t  v2_route_tags[] = {
    { "direct", "freedom", NULL, 1,
      { V2_ROUTE_DIRECT, V2_FAMILY_ANY, { 0 } } },
    { "block", "blackhole", NULL, 1,
      { V2_ROUTE_BLOCK, V2_FAMILY_ANY, { 0 } } },
    { "IPv4_out", "freedom", "UseIPv4v6", 1,
      { V2_ROUTE_DIRECT, V2_FAMILY_46, { 0 } } },
    { "IPv6_out", "freedom", "UseIPv6", 1,
      { V2_ROUTE_DIRECT, V2_FAMILY_6, { 0 } } },
    { "socks5-warp", "socks", NULL, 0,
      { V2_ROUTE_BLOCK, V2_FAMILY_ANY, { 0 } } },
};


v2_int_t
v2_route_tag(const char *tag, v2_route_way_t *way)
{
    const v2_route_tag_t  *t;

    t = v2_route_tag_find(tag);

    if (t == NULL) {
        return V2_ERROR;
    }

    *way = t->way;

    return t->built ? V2_OK : V2_DECLINED;
}


v2_int_t
v2_route_outbounds(v2_route_msg_t *m, const char *text, size_t len,
    v2_route_way_t *way, const char **name)
{
    size_t                 i;
    json_t                *root, *item, *tag;
    unsigned               seen;
    v2_int_t               rc;
    const v2_route_tag_t  *t;

    root = v2_route_json_load(m, text, len);

    if (root == NULL) {
        return V2_ERROR;
    }

    rc = V2_OK;
    seen = 0;

    if (!json_is_array(root)) {
        rc = v2_route_fail(m, "must be a list of outbounds");
    }

    m->item = "outbound";

    for (i = 0; rc == V2_OK && i < json_array_size(root); i++) {
        item = json_array_get(root, i);
        m->number = i + 1;

        if (!json_is_object(item)) {
            rc = v2_route_fail(m, "must be an object");
            break;
        }

        tag = v2_route_json_get(item, "tag");
        m->tag = json_string_value(tag);
        t = m->tag != NULL ? v2_route_tag_find(m->tag) : NULL;

        if (t == NULL) {
            rc = v2_route_fail(m, "is not built yet; possible are the "
                               "shipped \"IPv4_out\", \"IPv6_out\", "
                               "\"block\" and \"direct\"");

        } else if (seen & 1u << (t - v2_route_tags)) {
            rc = v2_route_fail(m, "is given twice");

        } else if (i == 0 && !t->built) {
            rc = v2_route_fail(m, "is not built yet and cannot be the first, "
                               "which takes what no rule matches");

        } else {
            rc = v2_route_outbound(m, item, t);
            seen |= 1u << (t - v2_route_tags);
        }

        if (rc == V2_OK && i == 0) {
            *way = t->way;
            *name = t->tag;
        }
    }

    m->item = NULL;
    m->tag = NULL;
    json_decref(root);

    return rc;
}


v2_int_t
v2_route_dns(v2_route_msg_t *m, const char *text, size_t len)
{
    json_t      *root, *value;
    v2_int_t     rc;
    const char  *key;

    root = v2_route_json_load(m, text, len);

    if (root == NULL) {
        return V2_ERROR;
    }

    rc = V2_OK;

    if (!json_is_object(root)) {
        rc = v2_route_fail(m, "must be an object");
        goto done;
    }

    json_object_foreach(root, key, value) {
        if (v2_route_json_empty(value) || json_is_false(value)) {
            continue;
        }

        if (strcasecmp(key, "servers") == 0) {
            rc = v2_route_servers(m, value);

        } else if (strcasecmp(key, "tag") != 0
                   || !v2_route_json_is(value, "dns_inbound"))
        {
            rc = v2_route_fail_value(m, key, value, "is not built yet; "
                                     "possible is the shipped file");
        }

        if (rc != V2_OK) {
            break;
        }
    }

done:

    json_decref(root);

    return rc;
}


static v2_int_t
v2_route_outbound(v2_route_msg_t *m, json_t *object, const v2_route_tag_t *t)
{
    json_t      *value;
    v2_int_t     rc;
    const char  *key;

    value = v2_route_json_get(object, "protocol");

    if (value == NULL) {
        return v2_route_fail(m, "has no \"protocol\"");
    }

    json_object_foreach(object, key, value) {
        if (v2_route_json_empty(value)) {
            continue;
        }

        rc = v2_route_outbound_key(m, key, value, t);

        if (rc != V2_OK) {
            return rc;
        }
    }

    value = v2_route_json_get(object, "settings");

    if (v2_route_json_empty(value) && (t->strategy != NULL || !t->built)) {
        return v2_route_fail(m, "has no \"settings\"; possible are those of "
                             "the shipped file");
    }

    return V2_OK;
}


static v2_int_t
v2_route_outbound_key(v2_route_msg_t *m, const char *key, json_t *value,
    const v2_route_tag_t *t)
{
    char  what[96];

    if (strcasecmp(key, "tag") == 0) {
        return V2_OK;
    }

    if (strcasecmp(key, "settings") == 0) {
        return v2_route_settings(m, value, t);
    }

    if (strcasecmp(key, "protocol") == 0) {
        if (v2_route_json_is(value, t->protocol)) {
            return V2_OK;
        }

        snprintf(what, sizeof(what), "is not built yet; possible is \"%s\"",
                 t->protocol);
        return v2_route_fail_value(m, key, value, what);
    }

    return v2_route_fail_value(m, key, value, "is not built yet");
}


static v2_int_t
v2_route_settings(v2_route_msg_t *m, json_t *settings, const v2_route_tag_t *t)
{
    char         what[96];
    json_t      *value;
    const char  *key;

    if (!json_is_object(settings)) {
        return v2_route_fail_value(m, "settings", settings,
                                   "must be an object");
    }

    if (strcmp(t->protocol, "blackhole") == 0) {
        return v2_route_is_blackhole(settings) ? V2_OK
               : v2_route_fail_value(m, "settings", settings, "is not built "
                                     "yet; possible is a \"response\" of "
                                     "type \"none\"");
    }

    if (strcmp(t->protocol, "socks") == 0) {
        return v2_route_is_warp(settings) ? V2_OK
               : v2_route_fail_value(m, "settings", settings, "is not built "
                                     "yet; possible is the shipped "
                                     "127.0.0.1:40000");
    }

    json_object_foreach(settings, key, value) {
        if (v2_route_json_empty(value)) {
            continue;
        }

        if (strcasecmp(key, "domainStrategy") != 0) {
            return v2_route_fail_value(m, key, value, "is not built yet");
        }
    }

    value = v2_route_json_get(settings, "domainStrategy");

    if (t->strategy != NULL ? v2_route_json_is(value, t->strategy)
        : v2_route_json_empty(value) || v2_route_json_is(value, "AsIs"))
    {
        return V2_OK;
    }

    if (value == NULL) {
        return v2_route_fail(m, "has no \"domainStrategy\"; possible is "
                             "\"%s\"", t->strategy);
    }

    snprintf(what, sizeof(what), "is not built yet; possible is \"%s\"",
             t->strategy != NULL ? t->strategy : "AsIs");

    return v2_route_fail_value(m, "domainStrategy", value, what);
}


/* {} or {"response": {"type": "none"}} */

static int
v2_route_is_blackhole(json_t *settings)
{
    json_t  *response;

    if (v2_route_json_empty(settings)) {
        return 1;
    }

    response = v2_route_json_get(settings, "response");

    if (json_object_size(settings) != 1 || response == NULL) {
        return 0;
    }

    return v2_route_json_empty(response)
           || (json_is_object(response) && json_object_size(response) == 1
               && v2_route_json_is(v2_route_json_get(response, "type"),
                                   "none"));
}


/* {"servers": [{"address": "127.0.0.1", "port": 40000}]} */

static int
v2_route_is_warp(json_t *settings)
{
    json_t  *servers, *server, *port, *users;
    size_t   keys;

    servers = v2_route_json_get(settings, "servers");

    if (json_object_size(settings) != 1 || json_array_size(servers) != 1) {
        return 0;
    }

    server = json_array_get(servers, 0);

    if (!json_is_object(server)) {
        return 0;
    }

    port = v2_route_json_get(server, "port");
    users = v2_route_json_get(server, "users");
    keys = users != NULL && v2_route_json_empty(users) ? 3 : 2;

    return json_object_size(server) == keys && json_is_integer(port)
           && json_integer_value(port) == 40000
           && v2_route_json_is(v2_route_json_get(server, "address"),
                               "127.0.0.1");
}


static const v2_route_tag_t *
v2_route_tag_find(const char *tag)
{
    size_t  i;

    for (i = 0; i < v2_nelems(v2_route_tags); i++) {
        if (strcmp(v2_route_tags[i].tag, tag) == 0) {
            return &v2_route_tags[i];
        }
    }

    return NULL;
}


/* The shipped list, or "localhost" alone, which says what we do. */

static v2_int_t
v2_route_servers(v2_route_msg_t *m, const json_t *servers)
{
    size_t                    i, n;
    static const char *const  shipped[] = { "1.1.1.1", "8.8.8.8",
                                            "localhost" };

    n = json_array_size(servers);

    if (n == 1 && v2_route_json_is(json_array_get(servers, 0), "localhost")) {
        return V2_OK;
    }

    for (i = 0; i < n && i < v2_nelems(shipped); i++) {
        if (!v2_route_json_is(json_array_get(servers, i), shipped[i])) {
            break;
        }
    }

    if (n == v2_nelems(shipped) && i == n) {
        return V2_OK;
    }

    return v2_route_fail_value(m, "servers", servers, "is not built yet; "
                               "possible is [\"localhost\"] or the shipped "
                               "list");
}
